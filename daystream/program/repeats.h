// A trouble that lasts, for the log: said at once, and then once a minute for as long as it goes
// on, with how often it was met. Neither a line for each try nor silence.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace daystream::program {

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

}  // namespace daystream::program
