// How far a mirror has come: `_deltamirror_checkpoint`, written in the transaction of the data. One
// row for each source.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daystream/lsn.h"
#include "daystream/manifest.h"
#include "daystream/position.h"
#include "sqlite/sqlite.h"

namespace deltamirror {

struct Checkpoint {
  std::string source;            // its name; of a mirror of one source the daystream's
  std::string directory;         // where it was last read
  daystream::Position position;  // of the last commit or mark applied
  daystream::Lsn lsn;            // its LSN
  std::string system_identifier;
  std::string database;
  std::uint32_t timeline = 0;  // 0: not known
  std::string commit_time;     // of the last transaction applied; empty: none yet
  std::string applied_at;      // when, here
  // All that PostgreSQL committed before this time is here, by its clock (a commit's time),
  // or deltastream's (when a mark came). Empty: not known yet.
  std::string complete_to;
  daystream::Lsn consistent_at;  // before this LSN a fresh seed is not at a commit yet

  daystream::SourceIdentity identity() const { return {system_identifier, database, {}}; }
  // How old what is here is; not less than 0, for clocks differ. nullopt: not known.
  std::optional<std::chrono::microseconds> age() const;
};

// By name. Throws NeedsPerson where there is none: the mirror was never seeded.
std::vector<Checkpoint> load_checkpoints(const Database& db);
// Of that source, or, where the name is empty, of the only one. Throws ConfigError where there is
// no such source, or there are several to choose from, NeedsPerson as above.
Checkpoint load_checkpoint(const Database& db, const std::string& source = {});
// nullptr: there is no such source.
const Checkpoint* find_source(const std::vector<Checkpoint>& checkpoints,
                              const std::string& source) noexcept;
// "eu", "us", "asia"
std::string names_of(const std::vector<Checkpoint>& checkpoints);
void save_checkpoint(Database& db, const Checkpoint& checkpoint);
// Remembers where a source is read now, in a transaction of its own where that has changed.
void save_directory(Database& db, const Checkpoint& checkpoint, const std::string& directory);

// Saves it again and again: what changes from commit to commit, in a statement prepared once.
class CheckpointWriter {
 public:
  explicit CheckpointWriter(Database& db) : db_(db) {}
  void save(const Checkpoint& checkpoint);

 private:
  Database& db_;
  Statement update_;
};

// A time, microseconds since 1970, as it stands in a mirror: `2026-11-21 10:15:04.123456`, UTC.
std::string timestamp_of(std::int64_t microseconds);
std::string timestamp_now();

}  // namespace deltamirror
