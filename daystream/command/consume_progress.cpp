#include "consume_progress.h"

namespace daystream::command {

namespace {
constexpr std::chrono::seconds kPassedInterval{10};
}  // namespace

void ConsumeProgress::passed(const Transaction& transaction) {
  const Acknowledged place{transaction.position(), transaction.lsn()};
  if (pending_.empty()) {
    done_ = place;
  } else {
    pending_.back().through = place;
  }
}

bool ConsumeProgress::acknowledge(Position position) {
  while (!pending_.empty() && pending_.front().position <= position) {
    const Pending first = pending_.front();
    if (pending_.size() > 1 && pending_[1].position <= position) {
      pending_.pop_front();
      continue;
    }
    if (first.position != position) return false;
    done_ = first.through;
    pending_.pop_front();
    acknowledged_ = true;
    return true;
  }
  return false;
}

void ConsumeProgress::acknowledge_all() {
  if (!pending_.empty()) acknowledge(pending_.back().position);
}

void ConsumeProgress::save(bool also_passed) {
  place_.check();
  const auto now = std::chrono::steady_clock::now();
  if (!done_ || !(acknowledged_ || also_passed || now - saved_ > kPassedInterval)) return;
  if (saved_position_ == done_->position) return;
  place_.save(*done_, acknowledged_);
  saved_position_ = done_->position;
  saved_ = now;
  acknowledged_ = false;
}

}  // namespace daystream::command
