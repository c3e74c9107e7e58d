// Compresses and deletes days that are over, on a thread of its own at the lowest priority: the
// stream never waits for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>
#include <variant>

#include "daystream/housekeeping.h"
#include "daystream/lsn.h"
#include "daystream/position.h"
#include "program/handover.h"
#include "program/repeats.h"

namespace deltastream {

// Threads: one thread calls everything. The destructor gives up the step that runs, as if it had
//          not begun.
// Errors:  none reach the caller: what cannot be done is logged, and tried again later.
class Housekeeper {
 public:
  Housekeeper(const std::filesystem::path& directory, const daystream::HousekeepingRules& rules);
  Housekeeper(const Housekeeper&) = delete;
  Housekeeper& operator=(const Housekeeper&) = delete;

  const daystream::HousekeepingRules& rules() const noexcept { return rules_; }

  // How far the stream is: PostgreSQL has the confirmation of `confirmed`, and `durable` is on
  // disk. The call is cheap; a new day wakes the thread.
  void tell(daystream::Lsn confirmed, const daystream::Position& durable);

 private:
  void work(const std::stop_token& stop);
  bool step(const std::stop_token& stop);

  const std::filesystem::path directory_;
  const daystream::HousekeepingRules rules_;
  daystream::Housekeeping housekeeping_;  // the thread's
  daystream::program::Repeats problems_;  // the thread's
  std::int64_t day_ = -1;                 // the caller's
  std::atomic<std::uint64_t> confirmed_;  // an LSN
  std::atomic<bool> known_{false};        // confirmed_ is: nothing is touched before
  daystream::program::Mailbox<std::monostate> new_day_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace deltastream
