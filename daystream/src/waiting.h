// How our threads sleep: in poll(), until a descriptor is readable or a time is over.
#pragma once

#include <poll.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <span>

#include "daystream/stop.h"
#include "daystream/unique_fd.h"

namespace daystream {

// Readable from wake() until clear(): wakes a thread that sleeps in poll().
//
// Threads: any; wake() also from a signal handler.
class WakeFd {
 public:
  WakeFd();  // throws IoError

  int fd() const noexcept { return fd_.get(); }
  void wake() const noexcept;
  void clear() const noexcept;

 private:
  UniqueFd fd_;
};

// Several descriptors as one, which is readable while one of them is: for what takes a single one
// to wait on. A descriptor that is closed goes by itself.
class AnyOf {
 public:
  AnyOf();  // of none; throws IoError, as add() does
  explicit AnyOf(std::span<const int> fds) : AnyOf() {
    for (const int fd : fds) add(fd);
  }
  AnyOf(std::initializer_list<int> fds) : AnyOf(std::span(fds.begin(), fds.size())) {}

  void add(int fd);
  int fd() const noexcept { return epoll_.get(); }

 private:
  UniqueFd epoll_;
};

// What one sleep waits for. Made for each sleep: it is a few words on the stack.
class WaitSet {
 public:
  static constexpr std::size_t kMost = 8;

  WaitSet() = default;
  explicit WaitSet(std::initializer_list<int> readable) {
    for (const int fd : readable) add(fd);
  }

  // `fd` -1: nothing is added.
  WaitSet& add(int fd, short events = POLLIN);
  // Sleeps at most so long; a negative time is none, and kForEver has no end. False: the time is
  // over, or a signal came, for which the caller may want to look at its flags. Throws IoError.
  bool wait(std::chrono::milliseconds most);
  bool wait_until(std::chrono::steady_clock::time_point end);
  // After wait() was true: whether `fd` is ready, or has an error or an end.
  bool ready(int fd) const noexcept;

  static constexpr std::chrono::milliseconds kForEver = std::chrono::milliseconds::max();

 private:
  std::array<pollfd, kMost> polled_{};
  std::size_t count_ = 0;
};

// Sleeps so long, and asks `stop` at least once a second meanwhile. False: it was requested. Throws
// IoError.
bool sleep(const Stop& stop, std::chrono::milliseconds length);

}  // namespace daystream
