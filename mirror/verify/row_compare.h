// Compares the rows of one mirrored table with PostgreSQL's, and mends them where asked to.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "seed/seed_session.h"
#include "sqlite/sqlite.h"
#include "store/mirrored_table.h"
#include "values/row_batch.h"
#include "verify/key_scan.h"
#include "verify/overlay.h"

namespace deltamirror {

struct RowDifference {
  std::string what;  // in words: table, key and columns
  // As the mirror would store it; borrowed from the call. Empty: the table has none.
  std::vector<Value> key;
  // PostgreSQL's row, by the columns of the mirror; nullptr: it has none.
  const RowBatch* batch = nullptr;
  std::size_t row = 0;
};

class RowCompare {
 public:
  // `tell`: called with each row that differs. Runs in the caller's SQLite transaction. `overlay`:
  // rows that are to be looked for there instead.
  using Tell = std::function<void(const RowDifference&)>;
  RowCompare(Database& db, const MirroredTable& table, bool repair, Tell tell,
             const Overlay* overlay = nullptr);

  // Called with how many rows have been compared, now and then.
  void on_progress(std::function<void(std::uint64_t)> tell) { on_progress_ = std::move(tell); }

  // `session` holds the snapshot that the table, or its overlay, has been brought to.
  void run(SeedSession& session, const SeedTable& source);

  // Only the rows of PostgreSQL's table that `sample` chooses, and of them not those that
  // `leave_out(batch, row)` names. The table must have a key.
  void run_sample(SeedSession& session, const SeedTable& source, const RowChoice& sample,
                  const std::function<bool(const RowBatch&, std::size_t)>& leave_out);

  std::uint64_t rows() const noexcept { return rows_; }
  std::uint64_t differences() const noexcept { return differences_; }

 private:
  // Calls `take` with the rows that the table's `where` chooses.
  void each_batch(SeedSession& session, const SeedTable& source, const std::vector<int>& columns,
                  RowChoice rows, const std::function<void(const RowBatch&)>& take);
  // False: `tell` was called, as it differs.
  bool compare_row(KeyScan& scan, const RowBatch& batch, std::size_t row);
  bool has_surplus(KeyScan& scan);
  void compare_keyed(SeedSession& session, const SeedTable& source);
  void find_surplus(SeedSession& session, const SeedTable& source);
  void tell_surplus(const std::string& from);
  void compare_keyless(SeedSession& session, const SeedTable& source);
  void differs(const std::string& what, std::vector<Value> key = {},
               const RowBatch* batch = nullptr, std::size_t row = 0);
  std::vector<int> all_columns() const;

  Database& db_;
  const MirroredTable& table_;
  const std::vector<int> key_;
  const bool repair_;
  Tell tell_;
  std::function<void(std::uint64_t)> on_progress_;
  const Overlay::Part* overlaid_ = nullptr;
  const Overlay* overlay_;
  std::optional<KeyScan> overlay_scan_;
  std::uint64_t rows_ = 0;
  std::uint64_t found_ = 0;           // PostgreSQL's rows whose key the mirror has
  std::uint64_t found_overlaid_ = 0;  // whose key the overlay has
  std::uint64_t differences_ = 0;
};

}  // namespace deltamirror
