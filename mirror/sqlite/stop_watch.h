// Ends a statement that takes long once a signal asks to stop.
#pragma once

#include <sqlite3.h>

#include "program/program.h"

namespace deltamirror {

// SQLite asks now and then whether to go on; a statement that is ended so fails as interrupted.
//
// Lifetime: borrows both.
class StopWatch {
 public:
  StopWatch(sqlite3* db, const daystream::program::Signals& signals) : db_(db) {
    const auto ask = [](void* given) {
      return static_cast<const daystream::program::Signals*>(given)->stop_requested() ? 1 : 0;
    };
    constexpr int kInstructionsBetweenLooks = 100'000;
    sqlite3_progress_handler(db, kInstructionsBetweenLooks, ask,
                             const_cast<daystream::program::Signals*>(&signals));
  }
  StopWatch(const StopWatch&) = delete;
  StopWatch& operator=(const StopWatch&) = delete;
  ~StopWatch() { sqlite3_progress_handler(db_, 0, nullptr, nullptr); }

 private:
  sqlite3* db_;
};

}  // namespace deltamirror
