#include "wake.h"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "day_file.h"
#include "daystream/error.h"
#include "waiting.h"

namespace daystream {

namespace {

// False where only the limits stand against it: those of a user (fs.inotify.max_user_instances,
// max_user_watches) or of descriptors. Else it throws what errno says of `action`.
bool refused(const std::string& action) {
  const int reason = errno;
  if (reason == EMFILE || reason == ENFILE || reason == ENOSPC || reason == ENOMEM) return false;
  throw IoError(action, reason);
}

}  // namespace

DurableWatch::DurableWatch(const std::filesystem::path& directory)
    : DurableWatch(directory, kDurableName) {}

DurableWatch::DurableWatch(const std::filesystem::path& directory, std::string name)
    : directory_(directory), name_(std::move(name)) {
  begin();
}

// False: there is no inotify to be had now.
bool DurableWatch::begin() {
  if (!inotify_) {
    UniqueFd fresh(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!fresh) return refused("could not watch for changes");
    // For a `durable` that is made later, or replaced.
    if (inotify_add_watch(fresh.get(), directory_.c_str(), IN_CREATE | IN_MOVED_TO) < 0) {
      return refused(fmt::format("could not watch directory \"{}\"", directory_.string()));
    }
    inotify_ = std::move(fresh);
  }
  watch_file();
  return watching_;
}

void DurableWatch::watch_file() {
  watching_ = true;
  if (name_.empty()) return;
  const std::string path = (directory_ / name_).string();
  file_watch_ = inotify_add_watch(inotify_.get(), path.c_str(), IN_MODIFY);
  watching_ = file_watch_ >= 0 || errno == ENOENT ||
              refused(fmt::format("could not watch file \"{}\"", path));
}

// Reads all events; whether one of them was of `durable`.
bool DurableWatch::drain() {
  alignas(inotify_event) char events[4096];
  bool touched = false;
  for (;;) {
    const ssize_t size = read(inotify_.get(), events, sizeof events);
    if (size <= 0) return touched;
    for (ssize_t at = 0; at < size;) {
      inotify_event event;
      std::memcpy(&event, events + at, sizeof event);
      const std::string_view name = event.len > 0 ? events + at + sizeof event : "";
      if (event.wd == file_watch_ || (event.mask & IN_Q_OVERFLOW) != 0) touched = true;
      if (name == name_ || (name_.empty() && !name.empty())) {
        watch_file();
        touched = true;
      }
      at += static_cast<ssize_t>(sizeof event + event.len);
    }
  }
}

bool DurableWatch::wait(std::chrono::milliseconds timeout, int wake_fd) {
  if (first_) {
    first_ = false;
    return true;
  }
  // What happened before it is there is not known either.
  if (!watching_) return begin() || look_by_the_clock(timeout, wake_fd);
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    WaitSet news{inotify_.get(), wake_fd};
    if (!news.wait_until(deadline)) return false;
    if (news.ready(inotify_.get()) && drain()) return true;
    if (news.ready(wake_fd)) return false;
  }
}

bool DurableWatch::look_by_the_clock(std::chrono::milliseconds timeout, int wake_fd) const {
  return !WaitSet{wake_fd}.wait(std::min(timeout, kBetweenLooks));
}

}  // namespace daystream
