// The PostgreSQL side of a live seed.
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "seed/live_copy.h"
#include "seed/session_thread.h"
#include "values/row_batch.h"

namespace deltamirror {

// What a session has found out once its snapshot is there.
struct LiveSnapshot {
  std::vector<SeedTable> tables;
  PgServer server;
  MvccSnapshot snapshot;
  daystream::Lsn consistent_at;
  std::int64_t taken_us = 0;  // by the server's clock: what it sees was committed before
  daystream::Seam seam{};
  TypeNames types;
  std::vector<TableProblem> problems;  // of tables that are passed over
};
LiveSnapshot snapshot_of(SeedSession& session);
// Throws WrongSource where the server is not the one that the mirror is of.
void check_server(const PgServer& server, const std::string& system_identifier);

// One table could not be copied: the others have to be begun again without it.
class CopyFailed : public daystream::Error {
 public:
  CopyFailed(const daystream::Error& error, std::string name)
      : Error(error.what(), error.hint()), name_(std::move(name)) {}
  const std::string& name() const noexcept { return name_; }

 private:
  std::string name_;
};

// Rows of one table, converted: about 256 KiB (and a row is whole).
struct LiveRows {
  std::size_t table = 0;  // index into LiveSnapshot::tables
  RowBatch rows;
};

// All rows are there, and what the snapshot saw is flushed: it cannot be undone any more.
struct LiveEnd {};

using LiveItem = std::variant<LiveSnapshot, LiveRows, LiveEnd>;
using LiveSource = SessionThread<LiveItem>;

// In order: LiveSnapshot, LiveRows…, LiveEnd. Connects, or fetches a snapshot, and all else, on its
// thread: what is wrong comes out of try_next().
std::unique_ptr<LiveSource> start_copying(const LiveSeedRequest& request,
                                          const daystream::program::Signals& signals);

}  // namespace deltamirror
