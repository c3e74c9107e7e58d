// The file that a first seed loads into, and what a killed seed has left in it.
#pragma once

#include <filesystem>
#include <string>

#include "daystream/reader.h"
#include "seed/seed_session.h"
#include "sqlite/sqlite.h"

namespace deltamirror {

// Each table is committed once it is whole, so that a seed that is killed, stopped or cut off can
// be gone on with, by the same command: its tables keep the snapshot they were copied in, and
// replay begins at the first one's seam.
//
// Nothing is synced before the whole is: a process's death loses nothing, a machine's may lose
// anything, so after another boot the seed begins anew.
//
// Ownership: the caller owns the mirror.
class SeedFile {
 public:
  // Goes on with what is there where it is of this session's request, server and daystream, and
  // that still holds all since; else begins anew.
  SeedFile(const std::string& mirror, SeedSession& session, const std::filesystem::path& daystream);

  Database& db() noexcept { return db_; }
  // Already there and whole: then session.tables()[i].mirrored tells how.
  bool is_whole(std::size_t table) const { return whole_.at(table); }
  std::size_t whole_count() const noexcept;
  void set_whole(std::size_t table) { whole_.at(table) = true; }

  const daystream::Seam& seam() const noexcept { return seam_; }  // of the first snapshot
  daystream::Lsn consistent_at() const;                           // of the last one
  // Takes what only a seed needs out of the file, and gives the file away.
  Database finish();

 private:
  bool resume(const std::filesystem::path& daystream);
  void begin();

  SeedSession& session_;
  Database db_;
  std::vector<bool> whole_;  // one a table of the session
  daystream::Seam seam_{};
};

}  // namespace deltamirror
