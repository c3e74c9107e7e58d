#include "remote/files_relay.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "calendar.h"
#include "day_file.h"
#include "daystream/error.h"
#include "manifest_file.h"
#include "stream_impl.h"

namespace daystream::remote {

namespace {

constexpr std::size_t kReadBytes = 1024 * 1024;

}  // namespace

FilesRelay::FilesRelay(Stream stream, std::filesystem::path directory, bool once)
    : Relay(stream.address(), std::move(directory), once), stream_(std::move(stream)) {}
FilesRelay::~FilesRelay() = default;

std::string FilesRelay::manifest_text() {
  const auto file = files_of(stream_)->open(kManifestName);
  if (!file) throw ProtocolError(fmt::format("{} has no {}", stream_.address(), kManifestName));
  return read_whole(*file);
}

void FilesRelay::begin() {
  source_ = reader_source_of(stream_);
  file_.reset();
  at_tail_ = false;
}

bool FilesRelay::receive(const Stop& stop) {
  if (at_tail_) source_->wait(kFlushAfter, stop.fd());
  at_tail_ = !pull_some();
  return !at_tail_;
}

// That in which the copy ends; the first one for a copy that is empty. No file: there is none yet.
void FilesRelay::begin_day() {
  if (writer().position() == Position::begin()) {
    const auto days = source_->days();
    if (days.empty()) return;
    day_ = days.front();
    at_ = 0;
  } else {
    day_ = day_number(writer().position().c);
    at_ = writer().size_bytes();
  }
  file_ = source_->open_day(day_);
  if (file_) return;
  throw PositionGone(fmt::format("what follows position {} is no longer in {}",
                                 writer().position().text(), stream_.address()),
                     "pull it into another directory");
}

// False: there is nothing more yet.
bool FilesRelay::pull_some() {
  if (!file_) begin_day();
  if (!file_) return false;
  const auto limit = source_->limit(day_, at_);
  if (!limit) return false;
  const std::int64_t last = day_number(limit->durable.position.c);
  if (last < day_) return false;
  const std::uint64_t end = last == day_ ? limit->durable.size_bytes : file_->size();
  if (at_ < end) {
    std::string bytes(std::min<std::uint64_t>(kReadBytes, end - at_), '\0');
    bytes.resize(file_->read_at(bytes, at_));
    if (bytes.empty()) throw Corruption(file_->path(), at_, "the file ends here");
    at_ += bytes.size();
    writer().append(bytes);
    return true;
  }
  if (last == day_) return false;
  const auto days = source_->days();
  const auto next = std::upper_bound(days.begin(), days.end(), day_);
  if (next == days.end()) return false;
  file_ = source_->open_day(*next);
  if (!file_) return false;
  day_ = *next;
  at_ = 0;
  return true;
}

}  // namespace daystream::remote
