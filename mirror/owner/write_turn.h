// Whose turn it is to use a mirror's one connection, as several sources write to it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace deltamirror {

// Who has the turn may hold a SQLite transaction open. It goes round in the order in which it
// was asked for. (A second connection that writes would be no way out: SQLite has one writer, and
// before 3.51.3 two that checkpoint can corrupt a log.)
//
// Threads: any.
class WriteTurn {
 public:
  // Waits for it. `nudge`, an eventfd, is written to when somebody else wants the turn meanwhile:
  // who sleeps with it should not.
  void take(int nudge);
  void give() noexcept;

  bool wanted() const noexcept { return waiting_ > 0; }  // by others than who has it

  // For a watchdog: nobody has it, or who has it has said since the last call that it lives.
  void heard() noexcept { heard_ = true; }
  bool moves() noexcept;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t next_ticket_ = 0;
  std::uint64_t serving_ = 0;
  int nudge_ = -1;  // of who has it
  std::atomic<int> waiting_ = 0;
  std::atomic<bool> heard_ = false;
};

// Has it while it lives.
class HavingTurn {
 public:
  HavingTurn(WriteTurn& turn, int nudge) : turn_(turn) { turn_.take(nudge); }
  HavingTurn(const HavingTurn&) = delete;
  HavingTurn& operator=(const HavingTurn&) = delete;
  ~HavingTurn() { turn_.give(); }

 private:
  WriteTurn& turn_;
};

}  // namespace deltamirror
