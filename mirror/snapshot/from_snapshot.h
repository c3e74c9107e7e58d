// A mirror that begins as a copy of another one, from a server or storage that has it: no
// PostgreSQL is asked.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "daystream/stop.h"
#include "daystream/stream.h"
#include "program/program.h"
#include "sqlite/sqlite.h"

namespace deltamirror {

// Fetches the newest snapshot that the server of `daystream` has (remote/fetch.h). What follows is
// in the daystream, after the snapshot's own checkpoint. False: asked to stop; then there is no
// mirror. Holds the lock of MIRROR meanwhile. Throws Error where it is there or in use, or what
// came is no mirror; ConfigError where `daystream` has no server.
bool fetch_mirror(const std::string& mirror, const daystream::Stream& daystream,
                  const daystream::program::Signals& signals);

// Who made a file that was fetched is not trusted with more than its rows: its pages have to be as
// SQLite writes them, and each index, trigger and view one statement. Throws Error where it must
// not be used.
void check_fetched(const std::string& file, const daystream::Stop& stop);

// What was fetched for MIRROR and is beside it: what came before a download broke off, and newer
// snapshots for the mirror.
std::vector<std::filesystem::path> fetched_beside(const std::string& mirror);

// The newest snapshot on offer for a living mirror, for what it cannot have from its stream: a
// server's, which is fetched to a place beside the mirror, or a file that is here, which somebody
// puts there. What was fetched stays until drop(), so that it need not be fetched again.
//
// Threads: one at a time.
class NewerSnapshot {
 public:
  // `from`: the URL of a stream at a server, or a file. `source`: the mirror's, which it is for:
  // each may fetch one. Throws ConfigError where the file is the mirror itself.
  NewerSnapshot(const std::string& mirror, const std::string& source, const std::string& from);
  NewerSnapshot(const NewerSnapshot&) = delete;
  NewerSnapshot& operator=(const NewerSnapshot&) = delete;
  ~NewerSnapshot();

  // As a reader opens it, at one commit. Throws NoSnapshot where none is on offer but `known`;
  // Error where what came is no mirror or must not be trusted, or `stop` was requested; what
  // fetch_newest_snapshot() throws.
  Database open(const std::string& known, const daystream::Stop& stop);
  // Of what open() has found last; empty: of none that is here. And what to call it.
  const std::string& id() const noexcept { return id_; }
  std::string name() const;
  void drop() noexcept;
  // What a killed process has left beside `mirror`, but for parts that are gone on with.
  static void remove_left_over(const std::string& mirror, const std::string& source) noexcept;

 private:
  void look_at_file(const std::string& known);
  void fetch(const std::string& known, const daystream::Stop& stop);

  const std::string from_;
  const bool is_file_;
  const std::string path_;
  std::string id_;
  std::string checked_;  // an id
};

}  // namespace deltamirror
