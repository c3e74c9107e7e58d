// How long to wait before asking a server again: growing, and never quite the same, so that a
// thousand clients do not come back in one moment.
#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace daystream::remote {

class Pauses {
 public:
  // Between half of the pause that is due and all of it.
  std::chrono::milliseconds next() {
    const auto pause = pause_;
    pause_ = std::min(pause_ * 2, kLongest);
    std::uniform_int_distribution<std::int64_t> within(pause.count() / 2, pause.count());
    return std::chrono::milliseconds(within(random_));
  }
  void reset() noexcept { pause_ = kFirst; }

 private:
  inline static constexpr std::chrono::milliseconds kFirst{200};
  inline static constexpr std::chrono::milliseconds kLongest{15'000};
  std::chrono::milliseconds pause_ = kFirst;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace daystream::remote
