// Waiting for something to become true, with a deadline: what tests use in place of sleeping.
#pragma once

#include <chrono>
#include <thread>

namespace support {

// Generous, because it only decides how long a failing test takes.
inline constexpr std::chrono::seconds kPatience{240};

// True as soon as `condition()` is, false when `deadline` has passed without it. It is asked at
// least once, and once more at the end, so that a slow machine is not a failure of its own.
template <typename Condition>
bool eventually(std::chrono::milliseconds deadline, Condition&& condition) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  for (std::chrono::milliseconds pause{1}; !condition();) {
    if (std::chrono::steady_clock::now() >= end) return condition();
    std::this_thread::sleep_for(pause);
    if (pause < std::chrono::milliseconds{50}) pause *= 2;
  }
  return true;
}

template <typename Condition>
bool eventually(Condition&& condition) {
  return eventually(kPatience, std::forward<Condition>(condition));
}

}  // namespace support
