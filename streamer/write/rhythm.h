// How far apart data comes, and when a stream of such a rhythm is idle.
#pragma once

#include <chrono>

namespace deltastream {

// A mark that is written, and synced, between two commits of a steady rhythm stands in the way of
// the next one: it waits for the disk twice. So the stream is idle only when nothing came for much
// longer than the rhythm foresees.
class Rhythm {
 public:
  using Clock = std::chrono::steady_clock;

  // `shortest`: idle after so long where no rhythm is known. `longest`: idle in any case, and what
  // comes farther apart is no rhythm.
  Rhythm(Clock::duration shortest, Clock::duration longest) noexcept
      : shortest_(shortest), longest_(longest) {}

  void on_data(Clock::time_point now) noexcept;

  // After the last data.
  Clock::duration idle_after() const noexcept;

 private:
  Clock::duration shortest_;
  Clock::duration longest_;
  Clock::time_point last_{};
  Clock::duration gap_{};  // smoothed; 0: no rhythm
};

}  // namespace deltastream
