// Compresses and deletes days that are over, on a thread of its own at the lowest priority: the
// stream never waits for it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "daystream/housekeeping.h"
#include "daystream/lsn.h"
#include "daystream/position.h"

namespace deltastream {

// Threads: one thread calls everything.
// Errors:  none reach the caller: what cannot be done is logged, and tried again later.
class Housekeeper {
 public:
  Housekeeper(const std::filesystem::path& directory, const daystream::HousekeepingRules& rules);
  Housekeeper(const Housekeeper&) = delete;
  Housekeeper& operator=(const Housekeeper&) = delete;
  ~Housekeeper();  // gives up the step that runs, as if it had not begun

  // How far the stream is: PostgreSQL has the confirmation of `confirmed`, and `durable` is on
  // disk. The call is cheap; a new day wakes the thread.
  void tell(daystream::Lsn confirmed, const daystream::Position& durable);

 private:
  void work();
  bool step();

  const std::filesystem::path directory_;
  daystream::Housekeeping housekeeping_;  // the thread's
  std::string last_problem_;              // the thread's
  std::atomic<bool> stop_{false};
  std::int64_t day_ = -1;  // the caller's
  std::mutex mutex_;
  std::condition_variable changed_;
  bool wanted_ = true;
  std::optional<daystream::Lsn> confirmed_;  // nothing is touched before it is known
  std::thread thread_;                       // last: it uses the others
};

}  // namespace deltastream
