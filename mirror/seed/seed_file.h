// The file that a first seed loads into, and what a killed seed has left in it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "daystream/reader.h"
#include "seed/seed_session.h"
#include "sqlite/sqlite.h"

namespace deltamirror {

// What is loaded from one database.
struct SeedPart {
  daystream::Stream daystream;
  std::unique_ptr<SeedSession> session;
  std::vector<bool> whole = {};  // one a table of the session: it is there
  daystream::Seam seam{};        // of its first snapshot

  std::size_t whole_count() const noexcept;
  daystream::Lsn consistent_at() const;  // of its last snapshot
};

// What a mirror has beside the rows: indexes, extra_sql, histories, checkpoints. In the caller's
// transaction.
void complete_mirror(Database& db, const std::vector<SeedPart>& parts, const MirrorConfig& config);

// Each table is committed once it is whole, so that a seed that is killed, stopped or cut off can
// be gone on with, by the same command: its tables keep the snapshot they were copied in, and
// replay of their source begins at the first one's seam.
//
// Nothing is synced before the whole is: a process's death loses nothing, a machine's may lose
// anything, so after another boot the seed begins again.
//
// Ownership: the caller owns the mirror.
class SeedFile {
 public:
  SeedFile(const std::string& mirror, const daystream::program::Signals& signals);

  Database& db() noexcept { return db_; }
  // Once the session has its snapshot: goes on with what is there of the source where it is of this
  // session's request, server and daystream, and that still holds all since; else begins it again.
  // Then part.session->tables()[i].mirrored of those that are whole says how they are.
  void begin(SeedPart& part);
  // Takes what only a seed needs out of the file, and gives the file away.
  Database finish();

 private:
  bool resume(SeedPart& part);
  void check_whole();
  void begin_anew(SeedPart& part);

  const std::string mirror_;
  const daystream::program::Signals& signals_;
  Database db_;
  bool any_ = false;      // of the sources has begun
  bool checked_ = false;  // what is left of an earlier seed, from end to end
};

}  // namespace deltamirror
