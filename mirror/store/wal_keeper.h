// What the owner of a mirror does for its readers between commits.
#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <string>

#include "program/repeats.h"
#include "sqlite/sqlite.h"
#include "store/mirror_file.h"

namespace deltamirror {

// SQLite checkpoints by itself every few MiB, but cannot begin the log again while a reader stands
// in it: then it grows. Asks for it now and then without ever waiting for anybody, and warns a
// person when a reader keeps it large. Every few hours it counts again for the query planner. While
// any source is far behind, the mirror is worked on at another pace.
class WalKeeper {
 public:
  struct Limits {
    std::uint64_t large_bytes = 64ull << 20;
    std::uint64_t large_behind_bytes = 3ull * kBehindLogPages / 2 * 4096;
    std::chrono::milliseconds between_looks{1000};
    std::chrono::milliseconds patience{30'000};  // before a person is warned
  };
  explicit WalKeeper(Database& db) : WalKeeper(db, Limits{}) {}
  WalKeeper(Database& db, const Limits& limits) : db_(db), limits_(limits) {}
  void after_commit();
  // So much of the source's stream is not applied yet.
  void set_backlog(const std::string& source, std::uint64_t bytes);
  // A reader keeps the log large, and a person was warned of it.
  bool warned() const noexcept { return large_ && warnings_.last() >= large_since_; }

 private:
  void take_pace(Pace pace);
  void bound_log(std::chrono::steady_clock::time_point now);

  Database& db_;
  const Limits limits_;
  std::set<std::string> behind_;  // sources that are far behind
  Pace pace_ = Pace::Level;
  std::chrono::steady_clock::time_point looked_{};
  std::chrono::steady_clock::time_point large_since_{};
  daystream::program::AtMostEvery warnings_{std::chrono::minutes(5)};
  std::chrono::steady_clock::time_point analyzed_ = std::chrono::steady_clock::now();
  bool large_ = false;
};

// Tells SQLite's query planner how many rows tables and indexes have, from some pages of each:
// milliseconds. (PRAGMA optimize would look only at what this connection has queried, and the
// owner's queries nothing.)
void analyze(Database& db);

std::uint64_t file_size(const std::string& path) noexcept;  // 0: no such file

}  // namespace deltamirror
