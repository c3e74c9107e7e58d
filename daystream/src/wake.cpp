#include "wake.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "day_file.h"
#include "daystream/error.h"

namespace daystream {

DurableWatch::DurableWatch(const std::filesystem::path& directory)
    : directory_(directory), inotify_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  if (!inotify_) {
    throw IoError("could not watch for changes", errno,
                  "see fs.inotify.max_user_instances in sysctl");
  }
  // For a `durable` that is made later, or replaced.
  if (inotify_add_watch(inotify_.get(), directory.c_str(), IN_CREATE | IN_MOVED_TO) < 0) {
    throw IoError(fmt::format("could not watch directory \"{}\"", directory.string()), errno,
                  "see fs.inotify.max_user_watches in sysctl");
  }
  watch_file();
}

void DurableWatch::watch_file() {
  const std::string path = (directory_ / kDurableName).string();
  file_watch_ = inotify_add_watch(inotify_.get(), path.c_str(), IN_MODIFY);
  if (file_watch_ < 0 && errno != ENOENT) {
    throw IoError(fmt::format("could not watch file \"{}\"", path), errno,
                  "see fs.inotify.max_user_watches in sysctl");
  }
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
      if (name == kDurableName) {
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
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd polled[2] = {{inotify_.get(), POLLIN, 0}, {wake_fd, POLLIN, 0}};
    const int ready = poll(polled, wake_fd < 0 ? 1 : 2,
                           static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1 << 30)));
    if (ready < 0 && errno != EINTR) throw IoError("could not wait for changes", errno);
    if (ready > 0 && polled[0].revents != 0 && drain()) return true;
    if (ready > 0 && polled[1].revents != 0) return false;
    if (ready < 0) return false;  // a signal: the caller may want to look at its flags
    if (std::chrono::steady_clock::now() >= deadline) return false;
  }
}

}  // namespace daystream
