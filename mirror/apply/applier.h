// Replays a daystream into a mirror.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "apply/mirror_commit.h"
#include "apply/needs_reseed.h"
#include "apply/table_lines.h"
#include "apply/table_states.h"
#include "daystream/manifest.h"
#include "daystream/reader.h"
#include "daystream/stop.h"
#include "daystream/transaction.h"
#include "sqlite/sqlite.h"

namespace deltamirror {

// One SQLite transaction holds whole source transactions and their checkpoint, so that whatever is
// killed when, the file is at some PostgreSQL commit and replay goes on from exactly there.
//
// A transaction is applied to a table if and only if that table's seed snapshot does not see it.
// Until consistent_at() nothing may be committed: before it, the tables are not yet at a commit of
// PostgreSQL together.
//
// Lifetime: borrows the database, which must be in WAL mode and owned.
// Errors:   after any exception the SQLite transaction is rolled back, the mirror is where it was,
//           and another Applier must be made.
class Applier {
 public:
  // `holding`: what the stream holds from the checkpoint on, as its manifest says. `source`: which
  // of the mirror's (store/mirrored_table.h); only its tables and checkpoint are touched.
  Applier(Database& db, std::optional<daystream::Holding> holding, daystream::Stop stop,
          const std::string& source = {});
  Applier(const Applier&) = delete;
  Applier& operator=(const Applier&) = delete;

  // Takes up one delivery of a Reader: a transaction, a mark or a gap. What only one table cannot
  // be followed through takes that table out of what is followed, in the same SQLite transaction,
  // and the others go on; but where its own rows are what fails, NeedsReseed is thrown, for the
  // caller to take it out at the last commit. Throws StreamGap at a gap that a table's seed does
  // not lie after, or at a timeline that voids the seed.
  //
  // False: a stop was requested in its middle; all since the last commit() is rolled back.
  bool apply(daystream::Transaction& transaction);

  // For the owner, between transactions: what it changes opens the SQLite transaction that commit()
  // ends.
  TableStates& tables() noexcept { return tables_; }
  const TableStates& tables() const noexcept { return tables_; }
  TableLines& lines() noexcept { return lines_; }
  // Tables that the stream does not hold are waited for from here on.
  void check_held() { lines_.check_held(commit_.reached().position); }
  // What came with a seed: nothing may be committed before `consistent_at`.
  void learn(const TypeNames& types, daystream::Lsn consistent_at, std::uint32_t timeline);
  // All tables come again with a seed whose replay begins after `seam`: the mirror goes on from
  // there, wherever it was.
  void go_to(const daystream::Seam& seam, std::uint32_t timeline);
  // True once after go_to(): what is applied next must follow reached().
  bool take_moved() noexcept { return std::exchange(moved_, false); }
  // For repair: the tables are as `snapshot` sees them now, so that replay joins after `seam`.
  void rebase(const MvccSnapshot& snapshot, daystream::Lsn consistent_at, std::uint32_t timeline,
              const daystream::Seam& seam);
  void open_transaction() { commit_.begin(); }
  // Takes back what was done in SQLite alone since the last commit().
  void give_up() noexcept { commit_.roll_back(); }

  // Commits what was taken up, with its checkpoint.
  void commit();
  // Writes down what commit() puts off: which tables have changed in the last second.
  void settle();

  bool pending() const noexcept { return commit_.pending(); }
  // Something besides marks waits for commit().
  std::uint64_t pending_changes() const noexcept { return commit_.pending_changes(); }
  std::uint64_t pending_bytes() const noexcept { return commit_.pending_bytes(); }
  // False: commit() would show a state that PostgreSQL never had.
  bool may_commit() const noexcept { return commit_.may_commit(); }

  const Checkpoint& committed() const noexcept { return commit_.committed(); }
  const Checkpoint& reached() const noexcept { return commit_.reached(); }
  std::uint64_t applied_changes() const noexcept { return applied_changes_; }
  std::uint64_t applied_transactions() const noexcept { return applied_transactions_; }

 private:
  bool take_up(daystream::Transaction& transaction);
  bool take_transaction(daystream::Transaction& transaction);
  bool apply_lines(daystream::Transaction& transaction);
  void apply_line(const daystream::Change& change);
  bool try_rows(TrackedTable& followed, const daystream::Change& change);
  void change_rows(TrackedTable& followed, const daystream::Change& change);
  void check_timeline(const daystream::Transaction& mark);
  void check_gap(daystream::Lsn goes_on);
  void save_changes();

  Database& db_;
  MirrorCommit commit_;
  TableStates tables_;
  TableLines lines_;
  const daystream::Stop stop_;
  LineMoment moment_;             // of the line that is applied
  TrackedTable* pair_ = nullptr;  // whose `replace` waits for its update
  bool moved_ = false;
  bool in_gap_ = false;  // where it ends is not known yet
  std::int64_t changes_saved_us_ = 0;
  std::uint64_t applied_changes_ = 0;
  std::uint64_t applied_transactions_ = 0;
};

}  // namespace deltamirror
