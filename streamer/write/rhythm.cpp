#include "write/rhythm.h"

#include <algorithm>

namespace deltastream {

namespace {

// Closer together is one burst: the messages of a transaction, say.
constexpr Rhythm::Clock::duration kBurst = std::chrono::milliseconds(1);
// Gaps between commits that arrive at random are longer than three times their mean one time in
// twenty.
constexpr int kGaps = 3;
// The share of a new gap in the smoothed one.
constexpr int kShare = 4;

}  // namespace

void Rhythm::on_data(Clock::time_point now) noexcept {
  const Clock::duration gap = now - last_;
  last_ = now;
  if (gap < kBurst) return;
  if (gap > longest_) {
    gap_ = {};
  } else if (gap_ == Clock::duration{}) {
    gap_ = gap;
  } else {
    gap_ += (gap - gap_) / kShare;
  }
}

Rhythm::Clock::duration Rhythm::idle_after() const noexcept {
  return std::clamp(kGaps * gap_, shortest_, longest_);
}

}  // namespace deltastream
