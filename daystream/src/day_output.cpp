#include "day_output.h"

#include <fmt/format.h>

#include <utility>

#include "calendar.h"
#include "crc32c.h"
#include "day_file.h"
#include "daystream/error.h"
#include "flush.h"
#include "line_prefix.h"

namespace daystream {

namespace {
constexpr std::size_t kKeepCapacity = 4 * 1024 * 1024;  // beyond it one huge row has been here
}  // namespace

DayOutput::DayOutput(std::shared_ptr<Dir> dir, std::size_t block_bytes)
    : block_bytes_(block_bytes), dir_(std::move(dir)) {}

void DayOutput::continue_in(std::shared_ptr<File> file, std::int64_t day, std::uint64_t size,
                            std::uint32_t chain) {
  file_ = std::move(file);
  day_ = day;
  written_ = chain_at_ = size;
  chain_ = group_chain_ = chain;
}

void DayOutput::check_usable() const {
  if (failed_->load() == 0) return;
  throw IoError(
      fmt::format("daystream \"{}\" cannot be written on after an error", dir_->path().string()),
      failed_->load(), "open it again: recovery writes again what may not be on disk");
}

template <typename Action>
void DayOutput::on_disk(const Action& action) {
  try {
    action();
  } catch (...) {
    remember_failure(*failed_);
    throw;
  }
}

void DayOutput::finish_day() {
  if (!file_) return;
  write_to(end());
  on_disk([&] { file_->sync(); });
}

void DayOutput::begin_day(std::int64_t day) {
  on_disk([&] {
    file_ = dir_->create(day_file_name(day));
    dir_->sync();
  });
  day_ = day;
  written_ = chain_at_ = 0;
}

bool DayOutput::reopen(const Durable& durable) {
  file_ = open_day_file(*dir_, day_, true).file;
  return file_ && file_->size() == written_ && durable.chain == chain_;
}

std::size_t DayOutput::end_group(std::string_view prefix, std::string_view body) {
  const std::size_t begin = buffer_.size();
  buffer_.append(prefix);
  chain_ = extend_crc(chain_, buffer_.from(chain_at_ - written_));
  chain_ = extend_crc(chain_, body);
  chain_ = extend_crc(chain_, "\n");
  group_chain_ = chain_;
  buffer_.append(kCrcKey);
  buffer_.append(crc_text(chain_));
  buffer_.append("\t");
  buffer_.append(body);
  buffer_.append("\n");
  chain_at_ = end();
  return buffer_.size() - begin;
}

void DayOutput::cut(std::uint64_t offset) noexcept {
  buffer_.cut(offset - written_);
  chain_ = group_chain_;
  chain_at_ = offset;
}

void DayOutput::write_to(std::uint64_t offset) {
  if (offset <= written_) return;
  const std::size_t size = offset - written_;
  if (chain_at_ < offset) {
    const std::size_t known = chain_at_ - written_;
    chain_ = extend_crc(chain_, buffer_.view().substr(known, size - known));
    chain_at_ = offset;
  }
  on_disk([&] { file_->write_at(buffer_.view().substr(0, size), written_); });
  written_ = offset;
  buffer_.drop_front(size);
  buffer_.shrink(kKeepCapacity);
}

void DayOutput::write_blocks(std::uint64_t offset) {
  write_to(offset - offset % block_bytes_);
}

}  // namespace daystream
