// The SQLite transaction that an Applier fills, and the checkpoint that is committed with it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "sqlite/sqlite.h"
#include "store/checkpoint.h"

namespace deltamirror {

// Lifetime: borrows the database.
// Invariant: what is open in SQLite and `reached()` belong together: both are committed, or both go
//            back to committed().
class MirrorCommit {
 public:
  // `source`: which of the mirror's; empty: its only one.
  MirrorCommit(Database& db, const std::string& source);

  void begin();
  // commit() is to be preceded by whatever belongs into the same transaction.
  void commit();
  void roll_back() noexcept;

  // One transaction or mark was taken up as a whole. `position` is where it ends.
  void take(daystream::Position position, daystream::Lsn lsn);
  // When PostgreSQL committed it.
  void take_commit_time(std::int64_t time_us);
  // All that PostgreSQL committed before is taken up.
  void take_complete_to(std::int64_t time_us);
  void count_change() noexcept { ++pending_changes_; }
  void count_bytes(std::size_t bytes) noexcept { pending_bytes_ += bytes; }

  bool pending() const noexcept { return open_ != nullptr; }
  // Something besides marks waits for commit().
  std::uint64_t pending_changes() const noexcept { return pending_changes_; }
  std::uint64_t pending_bytes() const noexcept { return pending_bytes_; }
  // False: commit() would show a state that PostgreSQL never had.
  bool may_commit() const noexcept { return reached_.lsn >= reached_.consistent_at; }

  const Checkpoint& committed() const noexcept { return committed_; }
  // commit_time and complete_to are those of the last commit().
  const Checkpoint& reached() const noexcept { return reached_; }
  Checkpoint& reached() noexcept { return reached_; }
  std::string commit_time() const;  // of what is reached

 private:
  Database& db_;
  CheckpointWriter writer_;
  Checkpoint committed_;
  Checkpoint reached_;
  std::int64_t commit_time_us_ = 0;  // of the last transaction taken up; 0: as in `reached_`
  std::int64_t complete_to_us_ = 0;
  std::unique_ptr<WriteTransaction> open_;
  std::uint64_t pending_changes_ = 0;
  std::uint64_t pending_bytes_ = 0;
};

}  // namespace deltamirror
