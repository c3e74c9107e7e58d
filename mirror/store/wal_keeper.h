// What the owner of a mirror does for its readers between commits.
#pragma once

#include <chrono>
#include <cstdint>

#include "sqlite/sqlite.h"

namespace deltamirror {

// SQLite checkpoints by itself every few MiB, but cannot begin the log again while a reader stands
// in it: then it grows. Asks for it now and then without ever waiting for anybody, and warns a
// person when a reader keeps it large. Every few hours it counts again for the query planner.
class WalKeeper {
 public:
  struct Limits {
    std::uint64_t large_bytes = 64ull << 20;
    std::chrono::milliseconds between_looks{1000};
    std::chrono::milliseconds patience{30'000};  // before a person is warned
  };
  explicit WalKeeper(Database& db) : WalKeeper(db, Limits{}) {}
  WalKeeper(Database& db, const Limits& limits) : db_(db), limits_(limits) {}
  void after_commit();
  // A reader keeps the log large, and a person was warned of it.
  bool told() const noexcept { return large_ && told_ >= large_since_; }

 private:
  void bound_log(std::chrono::steady_clock::time_point now);

  Database& db_;
  const Limits limits_;
  std::chrono::steady_clock::time_point looked_{};
  std::chrono::steady_clock::time_point large_since_{};
  std::chrono::steady_clock::time_point told_{};
  std::chrono::steady_clock::time_point analyzed_ = std::chrono::steady_clock::now();
  bool large_ = false;
};

// Tells SQLite's query planner how many rows tables and indexes have, from some pages of each:
// milliseconds. (PRAGMA optimize would look only at what this connection has queried, and the
// owner's queries nothing.)
void analyze(Database& db);

std::uint64_t file_size(const std::string& path) noexcept;  // 0: no such file

}  // namespace deltamirror
