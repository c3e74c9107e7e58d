#include "write/required_copies.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "daystream/error.h"
#include "program/hint.h"
#include "program/json.h"
#include "src/dir.h"

namespace deltastream {

using daystream::Lsn;

namespace {

constexpr const char* kFile = "copies.json";
// A relay reports four times a second; one that is away for so long is worth a line in the log.
constexpr std::chrono::seconds kPatience{10};

// Empty: it cannot be read. Whoever may write to the directory may have put a pipe there.
std::string text_of(daystream::Dir& dir) {
  try {
    const auto file = dir.open(kFile);
    return file ? daystream::read_whole(*file) : std::string();
  } catch (const daystream::Error&) {
    return {};
  }
}

}  // namespace

RequiredCopies::RequiredCopies(std::filesystem::path directory, unsigned count)
    : directory_(std::move(directory)), count_(count) {
  if (count_ == 0) return;
  inotify_ = daystream::UniqueFd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify_ || inotify_add_watch(inotify_.get(), directory_.c_str(), IN_MOVED_TO) < 0) {
    throw daystream::IoError(fmt::format("could not watch directory \"{}\"", directory_.string()),
                             errno);
  }
  load();
}

std::optional<Lsn> RequiredCopies::reached() const noexcept {
  if (count_ == 0) return std::nullopt;
  return reached_;
}

void RequiredCopies::refresh() {
  if (count_ == 0) return;
  alignas(inotify_event) char events[4096];
  bool any = false;
  while (read(inotify_.get(), events, sizeof events) > 0) any = true;
  if (any) load();
}

void RequiredCopies::load() {
  const auto value = daystream::program::parse_json(text_of(*daystream::real_dir(directory_)));
  std::vector<Lsn> lsns;
  // One that is not understood (a power loss may leave an empty one) says nothing; a new one comes.
  if (value.is_object() && value.contains("copies") && value["copies"].is_array()) {
    for (const auto& copy : value["copies"]) {
      if (!copy.is_object() || !copy.contains("lsn") || !copy["lsn"].is_string()) continue;
      if (const auto lsn = Lsn::parse(copy["lsn"].get<std::string>())) lsns.push_back(*lsn);
    }
  }
  known_ = lsns.size();
  if (lsns.size() < count_) return;
  std::sort(lsns.begin(), lsns.end(), std::greater<>());
  reached_ = std::max(reached_, lsns[count_ - 1]);
}

std::string RequiredCopies::waiting_for(Lsn flushed) const {
  if (count_ == 0 || reached_ >= flushed) return {};
  return fmt::format(
      "{} {} required: {} known, LSN {} is on the disks of enough of them; {} is not confirmed",
      count_, count_ == 1 ? "copy" : "copies", known_, reached_.text(), flushed.text());
}

void RequiredCopies::tell(Lsn flushed) {
  const auto now = std::chrono::steady_clock::now();
  const std::string waiting = waiting_for(flushed);
  if (waiting.empty()) {
    if (std::exchange(told_, false)) spdlog::info("the required copies have all that is on disk");
    behind_since_.reset();
    return;
  }
  if (!behind_since_) behind_since_ = now;
  if (told_ || now < *behind_since_ + kPatience) return;
  told_ = true;
  spdlog::warn("{}",
               daystream::program::with_hint(
                   waiting,
                   "PostgreSQL keeps its WAL meanwhile: see whether \"daystream pull\" runs on "
                   "the other hosts, and \"daystream serve --record-copies\" here"));
}

}  // namespace deltastream
