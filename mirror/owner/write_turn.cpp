#include "owner/write_turn.h"

#include <sys/eventfd.h>

namespace deltamirror {

void WriteTurn::take(int nudge) {
  std::unique_lock lock(mutex_);
  const std::uint64_t ticket = next_ticket_++;
  if (ticket != serving_) {
    ++waiting_;
    if (nudge_ >= 0) eventfd_write(nudge_, 1);
    changed_.wait(lock, [&] { return serving_ == ticket; });
    --waiting_;
  }
  nudge_ = nudge;
  if (waiting_ > 0 && nudge_ >= 0) eventfd_write(nudge_, 1);
  heard_ = true;
}

void WriteTurn::give() noexcept {
  const std::lock_guard lock(mutex_);
  ++serving_;
  nudge_ = -1;
  changed_.notify_all();
}

bool WriteTurn::moves() noexcept {
  const std::lock_guard lock(mutex_);
  return serving_ == next_ticket_ || heard_.exchange(false);
}

}  // namespace deltamirror
