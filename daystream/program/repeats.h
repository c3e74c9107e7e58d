// What would fill the log if it were said each time it is met.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace daystream::program {

// A trouble that lasts: said at once, and then once a minute for as long as it goes on, with how
// often it was met. Neither a line for each try nor silence.
//
// Threads: one.
class Repeats {
 public:
  using Clock = std::chrono::steady_clock;

  // `problem` was met (again). What is to be said of it now; nullopt: nothing, it was said less
  // than a minute ago.
  std::optional<std::string> met(const std::string& problem, Clock::time_point now = Clock::now());
  // The trouble is over: the next time it is news again.
  void clear() noexcept { problems_.clear(); }

 private:
  struct Met {
    Clock::time_point first;
    Clock::time_point said;
    std::uint64_t times = 0;
  };
  std::map<std::string, Met> problems_;  // by text: a server that is away often has two
};

// A line whose text differs each time, such as one with figures: said at once, and then once an
// interval at most.
//
// Threads: one.
class AtMostEvery {
 public:
  using Clock = std::chrono::steady_clock;

  explicit AtMostEvery(Clock::duration interval) : interval_(interval) {}

  // True: it is to be said now, and the interval begins.
  bool due(Clock::time_point now = Clock::now()) {
    if (last_ && now - *last_ < interval_) return false;
    last_ = now;
    return true;
  }
  std::optional<Clock::time_point> last() const noexcept { return last_; }

 private:
  Clock::duration interval_;
  std::optional<Clock::time_point> last_;
};

}  // namespace daystream::program
