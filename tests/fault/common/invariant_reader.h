// A reader of a mirror who checks, at every snapshot, that PostgreSQL could have shown it too.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/sqlite_reader.h"

namespace fault {

// For mirrors of Workload's tables. Reads in a thread of its own, as fast as it can, like any
// user's program would: mode=ro, one transaction a snapshot, a new connection now and then.
class InvariantReader {
 public:
  explicit InvariantReader(std::filesystem::path mirror);
  ~InvariantReader();  // stops

  void stop();
  // In between nothing of the mirror is open here, and it may go back: all is looked at again.
  void pause();
  void resume();
  std::uint64_t snapshot_count() const noexcept { return snapshots_.load(); }
  std::vector<std::string> violations() const;  // the first ten; also errors of SQLite

  // Snapshots with different n: the mirror's seq.n and its checkpoint's LSN.
  struct Seen {
    std::int64_t n;
    std::uint64_t lsn;
  };
  std::vector<Seen> seen() const;

  // One look at a mirror, without a thread; what it breaks.
  static std::vector<std::string> look_once(const std::filesystem::path& mirror);

 private:
  struct Idle {};
  InvariantReader(std::filesystem::path mirror, Idle) : mirror_(std::move(mirror)) {}
  void run();
  bool wait_while_paused();
  void look(support::SqliteReader&);
  void say(const std::string&);

  const std::filesystem::path mirror_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> snapshots_{0};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> paused_{false};
  bool idle_ = false;  // the thread has heard of it
  std::vector<std::string> violations_;
  std::vector<Seen> seen_;
  // The ledger up to n_, folded: only what is new is folded at each snapshot.
  std::int64_t n_ = 0;
  std::int64_t hash_ = 0;
  std::thread thread_;
};

}  // namespace fault
