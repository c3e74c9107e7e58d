// How long to wait before the next try: growing, so that a server that comes back is not mobbed.
#pragma once

#include <algorithm>
#include <chrono>

namespace deltastream {

class Pauses {
 public:
  inline static constexpr std::chrono::milliseconds kLongest{30'000};

  std::chrono::milliseconds next() noexcept {
    const auto pause = pause_;
    pause_ = std::min(pause_ * 2, kLongest);
    return pause;
  }
  void reset() noexcept { pause_ = kFirst; }

 private:
  inline static constexpr std::chrono::milliseconds kFirst{100};
  std::chrono::milliseconds pause_ = kFirst;
};

}  // namespace deltastream
