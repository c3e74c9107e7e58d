// How far a mirror has come: `_deltamirror_checkpoint`, written in the transaction of the data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daystream/lsn.h"
#include "daystream/position.h"
#include "store/sqlite.h"

namespace deltamirror {

struct Checkpoint {
  std::string source;            // the daystream's name
  std::string directory;         // where it was last read
  daystream::Position position;  // of the last commit or mark applied
  daystream::Lsn lsn;            // its LSN
  std::string system_identifier;
  std::string database;
  std::uint32_t timeline = 0;  // 0: not known
  std::string commit_time;     // of the last transaction applied; empty: none yet
  std::string applied_at;      // when, here
  // All that PostgreSQL committed before this time is here, as its clock tells (a commit's time),
  // or deltastream's (when a mark came). Empty: not known yet.
  std::string complete_to;
  daystream::Lsn consistent_at;  // before this LSN a fresh seed is not at a commit yet
};

// Throws NeedsPerson where there is none: the mirror was never seeded.
Checkpoint load_checkpoint(const Database& db);
void save_checkpoint(Database& db, const Checkpoint& checkpoint);

// Saves it again and again: what changes from commit to commit, in a statement prepared once.
class CheckpointWriter {
 public:
  explicit CheckpointWriter(Database& db) : db_(db) {}
  void save(const Checkpoint& checkpoint);

 private:
  Database& db_;
  Statement update_;
};

// `2026-11-21 10:15:04.123456`, UTC, as timestamps stand in a mirror.
std::string utc_text(std::int64_t microseconds_since_1970);
std::int64_t now_us();

}  // namespace deltamirror
