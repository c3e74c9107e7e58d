// Finds rows of a mirrored table by their key.
#pragma once

#include <vector>

#include "mirrored_table.h"
#include "row_batch.h"
#include "sqlite.h"

namespace deltamirror {

// Whether SQLite gives back `value` once it is stored, in that column of a result.
bool stores(const Statement& row, int column, const Value& value);

// Keys that come in their order, or nearly so, as most tables have them, cost a step each; any
// other a search.
//
// Lifetime: borrows the database and the table.
class KeyScan {
 public:
  // The table must have a key.
  KeyScan(Database& db, const MirroredTable& table);

  // `batch` has all columns of the table, in its order. True: row() is the row with that key, until
  // the next call.
  bool find(const RowBatch& batch, std::size_t row);
  const Statement& row() const noexcept { return select_; }
  void reset();  // before the table is written to

 private:
  bool is_at(const RowBatch& batch, std::size_t row) const;

  std::vector<int> key_;
  Statement select_;        // all columns, from a key on, in the key's order
  bool on_row_ = false;     // of select_…
  bool was_found_ = false;  // …which find() has told
};

}  // namespace deltamirror
