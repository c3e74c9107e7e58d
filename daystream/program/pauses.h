// How long to wait before asking a server again: growing, and never quite the same, so that a
// thousand clients do not come back in one moment.
#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace daystream::program {

class Pauses {
 public:
  explicit Pauses(std::chrono::milliseconds first = std::chrono::milliseconds{200},
                  std::chrono::milliseconds longest = std::chrono::milliseconds{15'000})
      : first_(first), longest_(longest), pause_(first) {}

  // Between half of the pause that is due and all of it.
  std::chrono::milliseconds next() {
    const auto pause = pause_;
    pause_ = std::min(pause_ * 2, longest_);
    std::uniform_int_distribution<std::int64_t> within(pause.count() / 2, pause.count());
    return std::chrono::milliseconds(within(random_));
  }
  void reset() noexcept { pause_ = first_; }

 private:
  std::chrono::milliseconds first_;
  std::chrono::milliseconds longest_;
  std::chrono::milliseconds pause_;  // due next
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace daystream::program
