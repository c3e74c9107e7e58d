// The PostgreSQL side of a seed: one snapshot of many tables, and where replay joins it exactly.
#pragma once

#include <atomic>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "daystream/lsn.h"
#include "daystream/manifest.h"
#include "daystream/reader.h"
#include "model/mvcc_snapshot.h"
#include "program/postgres.h"
#include "program/program.h"
#include "seed/describe_table.h"
#include "seed/seed_table.h"
#include "seed/table_locks.h"
#include "store/absent_table.h"

namespace deltamirror {

// Why one of the tables cannot be copied now, of a session that goes on with the others.
struct TableProblem {
  std::string name;  // in the mirror
  Absence absence;
  daystream::ExitCode exit_code = daystream::ExitCode::NeedsPerson;  // that it alone would end with
};
// What to do about tables that cannot be copied.
enum class Unfit {
  Refuse,  // the first one ends the session: somebody has just asked for it
  PassOver
};

// The server makes as many copies for mirrors of its database as it may: another time.
class NoPlace : public daystream::Error {
 public:
  using Error::Error;
  bool retryable() const noexcept override { return true; }
};

// The server was one with the one that the stream comes from, and is not any more: before or after
// a fail-over. Either may change soon.
class OtherTimeline : public daystream::Error {
 public:
  using Error::Error;
  bool retryable() const noexcept override { return true; }
};

// Where a seed stands in the source's history.
struct SeedPoint {
  MvccSnapshot snapshot;
  daystream::Lsn consistent_at;
  daystream::Seam seam{};
};

// The order is what makes a seed exact (docs/guarantees.md#the-exact-seam-of-a-seed):
//  1. the tables are locked before anything takes the snapshot, as TRUNCATE and rewrites are not
//     MVCC: an older snapshot might find such a table empty;
//  2. the snapshot is taken, then E, the end of the log: what the snapshot sees, commits below E;
//  3. a line of the daystream with `_next` <= xmin is looked for: whatever the snapshot does not
//     see has a larger id and so is committed after that line. Ids of two timelines cannot be
//     compared: the stream has to be on that of the server;
//  4. the tables are copied;
//  5. finish() waits until E is flushed: an asynchronous commit that the snapshot saw might
//     otherwise be undone by a crash, and its id used again.
class SeedSession {
 public:
  // Connects and checks server, manifest and tables: throws WrongSource, NeedsPerson, ConfigError,
  // with nothing written. `places`: at most so many sessions that give such a number are there at
  // once, of all mirrors of the database; NoPlace where this would be one more. 0: any number.
  SeedSession(const std::string& conninfo, const daystream::Stream& daystream,
              const std::vector<TableRequest>& tables, const daystream::program::Signals& signals,
              Unfit unfit = Unfit::Refuse, int places = 0);

  // To check() only: `manifest` is of the daystream, or what one will say that is not there yet.
  SeedSession(const std::string& conninfo, const daystream::Manifest& manifest,
              const std::vector<TableRequest>& tables, const daystream::program::Signals& signals,
              Unfit unfit = Unfit::Refuse);

  // Throws what take_snapshot() would throw of the tables: of their columns, and the rights to
  // them.
  void check();

  // See TableDescriber.
  void only_compare() noexcept { describer_->only_compare(); }

  // Steps 1 to 3. Waits, with progress, until the daystream reaches back far enough. Throws
  // OtherTimeline.
  void take_snapshot();
  // Ends the transaction of take_snapshot(), after a pause, so that a later one can be taken.
  void give_up_snapshot();

  std::vector<SeedTable>& tables() noexcept { return tables_; }
  // Why tables are passed over.
  const std::vector<TableProblem>& problems() const noexcept { return problems_; }
  // What the mirror calls this database: as the tables say, or else as the daystream is called.
  const std::string& source() const noexcept { return source_; }
  const PgServer& server() const noexcept { return server_; }
  const daystream::Manifest& manifest() const noexcept { return manifest_; }
  const MvccSnapshot& snapshot() const noexcept { return point_.snapshot; }
  daystream::Lsn consistent_at() const noexcept { return point_.consistent_at; }
  const daystream::Seam& seam() const noexcept { return point_.seam; }
  const TypeNames& types() const noexcept { return describer_->types(); }
  std::int64_t clock_us();  // the server's, since 1970
  std::uint64_t count_rows(const SeedTable& table);

  // Begins the COPY of one table; the caller receives it to its end.
  PGconn* start_copy(const SeedTable& table);
  void finish();
  // Whether what the snapshot saw is flushed by now: a table that is copied is then whole.
  bool is_flushed();

  // From any thread: what the session waits for ends, or will end, with an error.
  void cancel() noexcept;
  bool is_cancelled() const noexcept { return cancelled_; }

 private:
  SeedSession(const std::string& conninfo, daystream::Stream stream, daystream::Manifest manifest,
              const std::vector<TableRequest>& tables, const daystream::program::Signals& signals,
              Unfit unfit, int places);
  void take_place(int places);
  void check_source();
  CatalogTables read_catalog();
  void check_table(SeedTable& table, const CatalogTables& catalog);
  bool pass_over(std::size_t table, const daystream::Error& error);
  void begin();
  void begin_copy(const std::string& sql);
  bool describe_tables();
  bool try_seam();
  void check_timeline() const;
  void wait_for_seam();
  void pause(int milliseconds);

  daystream::Stream stream_;  // empty: there is none yet
  const daystream::program::Signals& signals_;
  daystream::program::PgConn connection_;
  daystream::program::Cancel cancel_;
  std::optional<TransactionSettings> settings_;  // all from where connection_ is there
  std::optional<TableLocks> locks_;
  std::optional<TableDescriber> describer_;
  std::atomic<bool> cancelled_ = false;
  PgServer server_;
  daystream::Manifest manifest_;
  std::vector<SeedTable> tables_;
  const Unfit unfit_;
  std::vector<TableProblem> problems_;
  std::string source_;
  SeedPoint point_;
};

}  // namespace deltamirror
