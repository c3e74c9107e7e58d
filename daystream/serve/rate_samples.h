// How a stream went within the last hour, for those who look at it now.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

namespace daystream::serve {

class RateSamples {
 public:
  static constexpr std::chrono::seconds kStep{10};
  static constexpr std::size_t kSteps = 360;

  struct Step {
    double bytes_per_second = 0;         // that became durable
    std::optional<std::int64_t> lag_ms;  // of the last commit, from there to durable; none: no one
    std::size_t followers = 0;
  };

  void add(const Step& step) {
    if (steps_.size() == kSteps) steps_.pop_front();
    steps_.push_back(step);
  }
  const std::deque<Step>& steps() const noexcept { return steps_; }  // the oldest first

 private:
  std::deque<Step> steps_;
};

}  // namespace daystream::serve
