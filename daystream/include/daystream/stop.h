// A request to stop, handed to everything that works or waits for long.
#pragma once

#include <concepts>
#include <functional>
#include <stop_token>
#include <utility>

namespace daystream {

// Made from anything that can ask for the end: a signal, the token of a thread, a condition.
//
// Ownership: a copy asks the same, and borrows what the predicate borrows.
// Threads:   requested() from any thread from which that predicate may be called.
class Stop {
 public:
  Stop() = default;  // the request never comes
  Stop(const std::stop_token& token) : requested_([token] { return token.stop_requested(); }) {}
  // `fd`: readable once `predicate` may have become true; -1: it must be asked.
  template <std::predicate F>
  requires(!std::same_as<F, Stop>) Stop(F predicate, int fd = -1)
      : requested_(std::move(predicate)), fd_(fd) {}

  // A worker asks this now and then. Once true, it stays true.
  bool requested() const { return requested_ && requested_(); }
  // To wait on together with other descriptors (WaitSet, Reader::wait); -1: ask now and then.
  int fd() const noexcept { return fd_; }

 private:
  std::function<bool()> requested_;
  int fd_ = -1;
};

}  // namespace daystream
