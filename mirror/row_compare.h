// Compares the rows of one mirrored table with PostgreSQL's, and mends them where asked to.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "mirrored_table.h"
#include "row_batch.h"
#include "seed_session.h"
#include "sqlite.h"

namespace deltamirror {

class KeyScan;

class RowCompare {
 public:
  // `tell`: called with each difference in words. Runs in the caller's SQLite transaction.
  RowCompare(Database& db, const MirroredTable& table, bool repair,
             std::function<void(const std::string&)> tell);

  // `session` holds the snapshot that the table has been brought to.
  void run(SeedSession& session, const SeedTable& source);

  // Only the rows of PostgreSQL's table that `sample` (what follows its name in FROM) chooses, and
  // of them not those that `leave_out(batch, row)` names. The table must have a key.
  void run_sample(SeedSession& session, const SeedTable& source, const std::string& sample,
                  const std::function<bool(const RowBatch&, std::size_t)>& leave_out);

  std::uint64_t rows() const noexcept { return rows_; }
  std::uint64_t differences() const noexcept { return differences_; }

 private:
  // `sample`: what follows the table's name in FROM.
  void each_batch(SeedSession& session, const SeedTable& source, const std::vector<int>& columns,
                  const std::string& sample, const std::function<void(const RowBatch&)>& take);
  // False: told that it differs.
  bool compare_row(KeyScan& scan, const RowBatch& batch, std::size_t row);
  void compare_keyed(SeedSession& session, const SeedTable& source);
  void find_surplus(SeedSession& session, const SeedTable& source);
  void compare_keyless(SeedSession& session, const SeedTable& source);
  void differs(const std::string& what);
  std::string column_list(const std::vector<int>& columns) const;
  std::vector<int> all_columns() const;

  Database& db_;
  const MirroredTable& table_;
  const std::vector<int> key_;
  const bool repair_;
  std::function<void(const std::string&)> tell_;
  std::uint64_t rows_ = 0;
  std::uint64_t found_ = 0;  // PostgreSQL's rows whose key the mirror has
  std::uint64_t differences_ = 0;
};

}  // namespace deltamirror
