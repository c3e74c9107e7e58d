// Makes the rows of tables the same as PostgreSQL's again, and writes only those that are not.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "apply/catch_up.h"
#include "apply/line_key.h"
#include "seed/live_copy.h"
#include "verify/difference_source.h"
#include "verify/side_rows.h"

namespace deltamirror {

// 1. A thread compares the tables with PostgreSQL's at a snapshot V: see verify().
// 2. The rows that differ, as V has them, are brought to where the mirror is by the rule of every
//    seed, beside the mirror.
// 3. In one SQLite transaction, once the mirror is past V, they take their places. Rows that the
//    stream has put right meanwhile are not written.
//
// A mirror that stands still (from_its_seam) is compared as it is; instead of 2, it goes in 3 to
// the seam of V.
//
// Throws TooDifferent where whole tables had better be copied (LiveSeed).
class LiveMend : public LiveCopy {
 public:
  LiveMend(Database& db, LiveSeedRequest request, const Checkpoint& mirror,
           const daystream::program::Signals& signals);
  ~LiveMend() override;

  int fd() const noexcept override { return source_->fd(); }
  bool step(const Checkpoint& at) override;
  bool ready() const noexcept override { return ready_; }
  void install(Applier& applier) override;

  daystream::Lsn consistent_at() const noexcept override { return found_->at.consistent_at; }
  std::int64_t taken_us() const noexcept override { return found_->at.taken_us; }
  std::uint64_t rows() const noexcept override { return rows_; }
  double expected_rows() const noexcept override { return -1; }
  std::uint64_t written() const noexcept override { return written_; }
  const std::vector<TableProblem>& problems() const noexcept override { return problems_; }
  bool replaces_tables() const noexcept override { return false; }

 private:
  // The rows that differ of one table.
  struct Mended {
    Mended(Database& db, const MirroredTable& table) : rows(db, table), key(rows.table()) {}
    SideRows rows;
    LineKey key;
    std::optional<bool> replaced;  // the update that comes next is of one of them, or not
  };
  void take(Differences found);
  static void apply(Mended& mended, const daystream::Change& change);

  Database& db_;
  const LiveSeedRequest request_;
  const std::vector<TableProblem> problems_;  // none: it compares what is followed
  const std::string system_identifier_;
  std::atomic<std::uint64_t> rows_ = 0;  // compared so far
  const std::unique_ptr<DifferenceSource> source_;
  std::optional<Differences> found_;
  std::vector<std::unique_ptr<Mended>> mended_;  // by table; nullptr: nothing differs
  std::optional<CatchUp> catch_up_;              // nullopt: nothing is to be caught up
  bool ready_ = false;
  std::uint64_t written_ = 0;
};

}  // namespace deltamirror
