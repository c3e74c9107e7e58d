// Which tables of a source are followed and which are not, in memory and in the mirror's catalog.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apply/mirror_commit.h"
#include "apply/tracked_tables.h"
#include "model/mvcc_snapshot.h"
#include "store/absent_table.h"

namespace deltamirror {

// Whatever changes here opens the transaction of `commit`, and is undone with it in the file; what
// is in memory is then of no more use.
//
// Lifetime: borrows the database and the commit.
class TableStates {
 public:
  TableStates(Database& db, MirrorCommit& commit);

  const std::string& source() const noexcept { return commit_.committed().source; }
  TrackedTables& followed() noexcept { return followed_; }
  const TrackedTables& followed() const noexcept { return followed_; }
  // Tables that are wished for and not followed now.
  const std::vector<MirroredTable>& absent() const noexcept { return absent_; }
  std::vector<MirroredTable>& absent() noexcept { return absent_; }
  // The followed one that is wished under that name; nullptr: none.
  TrackedTable* wished_as(const QualifiedName& name) const;

  // What becomes of tables that cannot be followed; Hide. With Stop, and with Keep where the rows
  // that are kept must be those of the last commit, leave() throws NeedsReseed.
  void set_on_trouble(OnTrouble what) noexcept { on_trouble_ = what; }
  OnTrouble on_trouble() const noexcept { return on_trouble_; }
  // For a comparison: only what `snapshot` sees is of interest, and rows that are not as the stream
  // says are left for the comparison to find.
  void compare_with(const MvccSnapshot& snapshot);
  bool compares() const noexcept { return limit_.has_value(); }
  // The followed tables are as `snapshot` sees them.
  void rebase(const MvccSnapshot& snapshot, daystream::Lsn consistent_at, std::uint32_t timeline);

  // The next source transaction begins. 0: it has no id, and every table takes it.
  void begin_transaction(std::uint64_t xid);
  // Whether the table's seed has the transaction already.
  bool skips(TrackedTable& table);

  // For `table` as it is now.
  void make_plan(TrackedTable& table);
  enum class Leave {
    Dropped,  // PostgreSQL has it no more: that is followed
    Trouble
  };
  void leave(TrackedTable& table, const Absence& absence, Leave why = Leave::Trouble);
  // An absent table is to be copied, also where a copy has just looked and did not find it.
  void look_again(MirroredTable& table, const std::string& reason);
  // The names of tables that left in this transaction, by which they were not wished.
  std::vector<QualifiedName> take_freed() { return std::exchange(freed_, {}); }
  // What it is called in SQLite from here on. It leaves where SQLite does not let it.
  void call(TrackedTable& table, const std::string& name);

  // By the name that is wished in SQLite; one that is followed leaves.
  void set_absence(const std::string& name, const Absence& absence);
  // Takes up the wish for a table that the mirror does not have.
  void add_absent(MirroredTable table);
  // `table` takes the place of what has its name or follows its source: `put_in_place` makes it so
  // in SQLite. Throws what SQLite says of the statements for it: then all is as before.
  void install(const MirroredTable& table, const std::function<void()>& put_in_place);
  // Drops it here. False: the mirror has no such table.
  bool remove(const std::string& name);
  // Changes what is written down of a table, whose rows and SQLite objects stay as they are.
  void edit(const std::string& name, const std::function<void(MirroredTable&)>& change);

 private:
  void replace(const MirroredTable& table);
  void make_room_for(const MirroredTable& table);
  void load();  // as the file has them

  Database& db_;
  MirrorCommit& commit_;
  TrackedTables followed_;
  std::vector<MirroredTable> absent_;
  OnTrouble on_trouble_ = OnTrouble::Hide;
  std::optional<MvccSnapshot> limit_;
  std::vector<QualifiedName> freed_;
  std::uint64_t xid_ = 0;         // of the source transaction
  std::uint64_t generation_ = 0;  // another one for each
};

}  // namespace deltamirror
