// Replays a daystream into a mirror.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apply/history_writer.h"
#include "apply/needs_reseed.h"
#include "apply/reshape.h"
#include "apply/table_plan.h"
#include "daystream/manifest.h"
#include "daystream/reader.h"
#include "daystream/transaction.h"
#include "sqlite/sqlite.h"
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
// Errors:   after any exception the SQLite transaction is rolled back; the mirror is where it was,
// and
//           the Applier must be made anew.
class Applier {
 public:
  // `holding`: what the stream holds from the checkpoint on, as its manifest tells. `source`: which
  // of the mirror's (store/mirrored_table.h); only its tables and checkpoint are touched.
  Applier(Database& db, std::optional<daystream::Holding> holding,
          std::function<bool()> stop_requested, const std::string& source = {});
  Applier(const Applier&) = delete;
  Applier& operator=(const Applier&) = delete;
  ~Applier();

  // Takes up one delivery of a Reader: a transaction, a mark or a gap. Throws NeedsPerson on a gap,
  // a timeline that voids the seed, a table the stream no longer holds, a change of shape that
  // cannot be followed; Diverged.
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

  // Throws NeedsPerson where the stream does not hold a table that is followed.
  void check_held() const;

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
  struct Followed {
    MirroredTable table;
    std::unique_ptr<TablePlan> plan;  // or, of a history:
    std::unique_ptr<HistoryWriter> history;
    bool skip = false;             // in the current transaction: the seed has it already
    bool needs_rewrite = false;    // in the current transaction: values read otherwise
    std::string meaning;           // then: why
    std::string final_name;        // in SQLite, once the transaction is at its end; empty: as it is
    std::uint64_t generation = 0;  // of the transaction that `skip` is about
    bool changed = false;          // which history.h is not told yet
  };

  void begin();
  void roll_back() noexcept;
  void save_changes(std::int64_t now);
  bool apply_lines(daystream::Transaction& transaction, std::uint64_t xid);
  void apply_line(Followed& followed, const daystream::Change& change);
  void check_namesake(const daystream::Change& change, std::uint64_t xid);
  void check_root(const daystream::Change& change, std::uint64_t xid);
  void apply_schema(const daystream::Change& change, std::uint64_t xid);
  void apply_drop(const daystream::Change& change, std::uint64_t xid);
  void take_mark(const daystream::Transaction& mark);
  void check_held(const Followed& followed, daystream::Position position) const;
  Followed* by_line_name(std::string_view raw);
  Followed* by_oid(std::uint32_t oid);
  void forget(Followed* followed);
  void check_policy(const Followed& followed, const std::string& what) const;
  void check_asked(const std::string& line_name) const;
  void enter(Followed& followed, std::uint64_t xid);
  void make_plan(Followed& followed);
  void take_partitioning(Followed& followed, bool is_partition);
  static void drop_plan(Followed& followed) noexcept;
  void rename_in_stream(Followed& followed, const std::string& old_line_name);
  Reshaped take_shape(MirroredTable& table, const SchemaLine& line);
  void finish_shapes(const daystream::Transaction& transaction);

  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const noexcept {
      return std::hash<std::string_view>{}(s);
    }
  };

  Database& db_;
  const std::string source_;
  CheckpointWriter checkpoints_;
  std::optional<daystream::Holding> holding_;
  std::function<bool()> stop_requested_;
  TypeNames types_;
  std::vector<std::unique_ptr<Followed>> tables_;
  std::unordered_map<std::string, Followed*, NameHash, std::equal_to<>> by_name_;
  std::string last_name_;
  Followed* last_ = nullptr;
  std::uint64_t generation_ = 0;
  LineMoment moment_;              // of the line that is applied
  std::optional<Snapshot> limit_;  // of verify
  ShapePolicy shape_policy_ = ShapePolicy::Follow;
  std::string asked_;
  std::set<std::string, std::less<>>
      left_names_;  // that followed tables gave up in this transaction

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
