#include "waiting.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>

#include "daystream/error.h"

namespace daystream {

WakeFd::WakeFd() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!fd_) throw IoError("could not create an event descriptor", errno);
}

// A counter that is full is readable all the same.
void WakeFd::wake() const noexcept {
  eventfd_write(fd_.get(), 1);
}

void WakeFd::clear() const noexcept {
  eventfd_t count = 0;
  eventfd_read(fd_.get(), &count);
}

AnyOf::AnyOf() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) throw IoError("could not wait for descriptors", errno);
}

void AnyOf::add(int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    throw IoError("could not wait for a descriptor", errno);
  }
}

WaitSet& WaitSet::add(int fd, short events) {
  if (fd < 0) return *this;
  assert(count_ < kMost);
  polled_[count_++] = {fd, events, 0};
  return *this;
}

bool WaitSet::wait(std::chrono::milliseconds most) {
  const auto limit = std::clamp<std::int64_t>(most.count(), 0, INT_MAX);
  const int found = poll(polled_.data(), count_, most == kForEver ? -1 : static_cast<int>(limit));
  if (found >= 0) return found > 0;
  for (std::size_t i = 0; i < count_; ++i) polled_[i].revents = 0;
  if (errno != EINTR) throw IoError("could not wait for a descriptor", errno);
  return false;
}

bool WaitSet::wait_until(std::chrono::steady_clock::time_point end) {
  const auto now = std::chrono::steady_clock::now();
  if (end <= now) return wait(std::chrono::milliseconds{0});  // `end` may lie before all times
  return wait(std::chrono::ceil<std::chrono::milliseconds>(end - now));
}

bool WaitSet::ready(int fd) const noexcept {
  for (std::size_t i = 0; i < count_; ++i) {
    if (polled_[i].fd == fd) return polled_[i].revents != 0;
  }
  return false;
}

bool sleep(const Stop& stop, std::chrono::milliseconds length) {
  constexpr std::chrono::milliseconds kBetweenLooks{200};  // at a stop without a descriptor
  const std::chrono::milliseconds most = stop.fd() < 0 ? kBetweenLooks : std::chrono::seconds(1);
  const auto end = std::chrono::steady_clock::now() + length;
  while (!stop.requested()) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= end) return true;
    WaitSet{stop.fd()}.wait_until(std::min<std::chrono::steady_clock::time_point>(end, now + most));
  }
  return false;
}

}  // namespace daystream
