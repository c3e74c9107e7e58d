#include "lease.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace daystream::sharing {

Lease::Lease(Store& store, Terms terms, const Clock& clock, PartRecord record)
    : store_(store),
      terms_(std::move(terms)),
      clock_(clock),
      epoch_(record.epoch),
      record_(std::move(record)) {}

// 1. The record of the next epoch is created; one of all who try can.
// 2. What its predecessor kept until then is read again: keep() of a predecessor that returned true
//    was before 1, so that nothing of it is lost. What it writes after 1 returns false.
std::unique_ptr<Lease> Lease::take(Store& store, const Terms& terms, const Clock& clock) {
  const PartRecord seen = store.part(terms.part);
  const BootTime now = clock();
  if (seen.is_held(now)) return nullptr;
  PartRecord next = seen;
  next.epoch = seen.epoch + 1;
  next.holder = terms.holder;
  next.boot = boot_id();
  next.expires_at = now + terms.length;
  if (!seen.holder.empty()) {
    next.careful = true;
    next.problem = fmt::format("worker {} did not renew its lease", seen.holder);
  }
  if (!store.take(terms.part, next)) return nullptr;
  const auto last = store.record(terms.part, seen.epoch);
  if (last && last->position > next.position) {
    next.position = last->position;
    next.lsn = last->lsn;
    next.failures = last->failures;
    if (!store.keep(terms.part, next)) return nullptr;
  }
  return std::unique_ptr<Lease>(new Lease(store, terms, clock, std::move(next)));
}

PartRecord Lease::record() const {
  const std::lock_guard guard(mutex_);
  return record_;
}

bool Lease::is_held() const {
  const std::lock_guard guard(mutex_);
  return !lost_ && clock_() < record_.expires_at;
}

void Lease::keep_locked(PartRecord next) {
  lost_ = lost_ || clock_() >= record_.expires_at || !store_.keep(terms_.part, next);
  if (lost_) {
    throw LeaseLost(fmt::format("lost part {} (epoch {})", terms_.part, epoch_),
                    "the worker was held up for longer than its lease: give a longer --lease where "
                    "that happens often");
  }
  record_ = std::move(next);
}

void Lease::renew() {
  const std::lock_guard guard(mutex_);
  PartRecord next = record_;
  next.expires_at = clock_() + terms_.length;
  keep_locked(std::move(next));
}

void Lease::keep(const std::function<void(PartRecord&)>& change) {
  const std::lock_guard guard(mutex_);
  PartRecord next = record_;
  change(next);
  keep_locked(std::move(next));
}

void Lease::release() noexcept {
  const std::lock_guard guard(mutex_);
  try {
    PartRecord next = record_;
    next.holder.clear();
    keep_locked(std::move(next));
    lost_ = true;
  } catch (...) {
    // It ends by itself, before long.
  }
}

}  // namespace daystream::sharing
