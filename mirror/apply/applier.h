// Replays a daystream into a mirror.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apply/needs_reseed.h"
#include "apply/reshape.h"
#include "apply/tracked_tables.h"
#include "daystream/manifest.h"
#include "daystream/reader.h"
#include "daystream/transaction.h"
#include "sqlite/sqlite.h"
#include "store/absent_table.h"
#include "store/checkpoint.h"
#include "store/mirrored_table.h"

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
  // `holding`: what the stream holds from the checkpoint on, as its manifest tells. `source`: which
  // of the mirror's (store/mirrored_table.h); only its tables and checkpoint are touched.
  Applier(Database& db, std::optional<daystream::Holding> holding,
          std::function<bool()> stop_requested, const std::string& source = {});
  Applier(const Applier&) = delete;
  Applier& operator=(const Applier&) = delete;
  ~Applier();

  // Takes up one delivery of a Reader: a transaction, a mark or a gap. What only one table cannot
  // be followed through takes that table out of what is followed, in the same SQLite transaction,
  // and the others go on; but where its own rows are what fails, NeedsReseed is thrown, for the
  // caller to take it out at the last commit. Throws StreamGap at a gap that a table's seed does
  // not lie after, NeedsPerson where a timeline voids the seed.
  //
  // False: a stop was requested in its middle; all since the last commit() is rolled back.
  bool apply(daystream::Transaction& transaction);

  // Stop: apply() throws NeedsPerson at each change of shape.
  void set_shape_policy(ShapePolicy policy) noexcept { shape_policy_ = policy; }

  // What comes has rows of these tables only (apply/asked_tables.h); empty: of all. apply() throws
  // TableNotAsked where it meets a followed table by another name, and takes nothing of that
  // transaction.
  void set_asked(std::string tables) noexcept { asked_ = std::move(tables); }
  // The same for a table that was put in place since.
  void check_asked() const;

  // Tables that the stream does not hold are waited for from here on.
  void check_held();

  // What becomes of tables that cannot be followed; Hide. With Stop, and with Keep where the rows
  // that are kept must be those of the last commit, apply() throws NeedsReseed.
  void set_on_trouble(OnTrouble what) noexcept { on_trouble_ = what; }
  // Tables that are wished for and not followed now. Each changes by apply() and set_absence().
  const std::vector<MirroredTable>& absent() const noexcept { return absent_; }
  // By the name in SQLite; one that is followed leaves. Opens the SQLite transaction that commit()
  // ends.
  void set_absence(const std::string& name, const Absence& absence);
  // Takes up the wish for a table that the mirror does not have; the same.
  void add_absent(MirroredTable table);

  // For verify: only what `snapshot` sees is applied, and rows that are not as the stream says are
  // left for the comparison to find.
  void compare_with(const Snapshot& snapshot);
  // For repair: the tables are as `snapshot` sees them now, so that replay joins after `seam`.
  void rebase(const Snapshot& snapshot, daystream::Lsn consistent_at, std::uint32_t timeline,
              const daystream::Seam& seam);
  // By OID; nullptr: not followed.
  const MirroredTable* table(std::uint32_t oid);

  // For the owner, between transactions (applier_tables.cpp). Each opens the SQLite transaction
  // that commit() ends.
  //
  // `table` takes the place of what has its name or follows its source: `put_in_place` makes it so
  // in SQLite.
  void install(const MirroredTable& table, const std::function<void()>& put_in_place);
  // What came with a seed: nothing may be committed before `consistent_at`.
  void learn(const TypeNames& types, daystream::Lsn consistent_at, std::uint32_t timeline);
  // Drops it here. False: the mirror has no such table.
  bool remove(const std::string& name);
  // What is written down of the table's indexes; they themselves are the caller's.
  void set_indexes(const std::string& name, std::vector<std::vector<std::string>> indexes);
  // How long a history is kept, from its next day on.
  void set_keep_days(const std::string& name, int days);
  // The table's rows have been compared with PostgreSQL's, and are the same from here on.
  void set_seeded(const std::string& name, const std::string& at);
  // Opens the SQLite transaction that commit() ends.
  void open_transaction() { begin(); }
  // Takes back what was done in SQLite alone since the last commit().
  void give_up() noexcept { roll_back(); }

  // Commits what was taken up, with its checkpoint.
  void commit();
  // Writes down what commit() puts off: which tables have changed in the last second.
  void settle();

  bool pending() const noexcept { return open_ != nullptr; }
  // Something besides marks waits for commit().
  std::uint64_t pending_changes() const noexcept { return pending_changes_; }
  std::uint64_t pending_bytes() const noexcept { return pending_bytes_; }
  // False: commit() would show a state that PostgreSQL never had.
  bool may_commit() const noexcept { return reached_.lsn >= reached_.consistent_at; }

  const Checkpoint& committed() const noexcept { return committed_; }
  const Checkpoint& reached() const noexcept { return reached_; }
  std::uint64_t applied_changes() const noexcept { return applied_changes_; }
  std::uint64_t applied_transactions() const noexcept { return applied_transactions_; }
  std::size_t table_count() const noexcept { return tables_.size(); }

 private:
  void begin();
  void roll_back() noexcept;
  void save_changes(std::int64_t now);
  bool apply_lines(daystream::Transaction& transaction, std::uint64_t xid);
  bool try_line(TrackedTable& followed, const daystream::Change& change,
                const daystream::Transaction& transaction, daystream::Position position);
  void apply_line(TrackedTable& followed, const daystream::Change& change);
  void take_namesake(const daystream::Change& change, std::uint64_t xid);
  void check_root(const daystream::Change& change, std::uint64_t xid);
  void apply_schema(const daystream::Change& change, std::uint64_t xid);
  void apply_drop(const daystream::Change& change, std::uint64_t xid);
  void take_mark(const daystream::Transaction& mark);
  void check_gap(daystream::Lsn goes_on);
  bool take_holding(TrackedTable& followed, daystream::Position position);
  void take_holdings(daystream::Position position);
  enum class Leave {
    Dropped,  // PostgreSQL has it no more: that is followed
    Trouble
  };
  void leave(TrackedTable& followed, const Absence& absence, Leave why = Leave::Trouble);
  void look_again(MirroredTable& table, const std::string& reason);
  void settle_wishes();
  bool settle_one_wish();
  TrackedTable* wished_as(const QualifiedName& name) const;
  void take_freed_names();
  bool exchange_wishes(MirroredTable& one, MirroredTable& other);
  bool may_be_called(const MirroredTable& table, const std::string& name) const;
  void settle_name(TrackedTable& followed);
  void call(TrackedTable& followed, const std::string& name);
  void check_policy(const TrackedTable& followed, const std::string& what) const;
  void check_asked(const std::string& line_name) const;
  void enter(TrackedTable& followed, std::uint64_t xid);
  void make_plan(TrackedTable& followed);
  bool take_partitioning(TrackedTable& followed, bool is_partition);
  bool rename_in_stream(TrackedTable& followed, const std::string& old_line_name);
  Reshaped take_shape(MirroredTable& table, const SchemaLine& line);
  void reshape_table(TrackedTable& followed, const SchemaLine& line);
  void finish_shapes(const daystream::Transaction& transaction);

  Database& db_;
  const std::string source_;
  CheckpointWriter checkpoints_;
  std::optional<daystream::Holding> holding_;
  std::function<bool()> stop_requested_;
  TypeNames types_;
  TrackedTables tables_;
  std::vector<MirroredTable> absent_;  // wished for, and not followed now
  std::uint64_t generation_ = 0;
  LineMoment moment_;              // of the line that is applied
  std::optional<Snapshot> limit_;  // of verify
  ShapePolicy shape_policy_ = ShapePolicy::Follow;
  OnTrouble on_trouble_ = OnTrouble::Hide;
  std::string asked_;
  bool in_gap_ = false;  // where it ends is not known yet
  // In this transaction:
  std::vector<QualifiedName> freed_;  // names of tables that left, by which they were not wished
  bool renamed_ = false;              // whose name is whose is to be settled at its end

  Checkpoint committed_;
  Checkpoint reached_;
  std::int64_t commit_time_us_ = 0;  // of the last transaction taken up; 0: as in `reached_`
  std::int64_t complete_to_us_ = 0;
  std::unique_ptr<WriteTransaction> open_;
  std::int64_t changes_saved_us_ = 0;
  std::uint64_t pending_changes_ = 0;
  std::uint64_t pending_bytes_ = 0;
  std::uint64_t applied_changes_ = 0;
  std::uint64_t applied_transactions_ = 0;
};

}  // namespace deltamirror
