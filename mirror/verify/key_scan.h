// Finds rows of a mirrored table by their key.
#pragma once

#include <string>
#include <vector>

#include "sqlite/sqlite.h"
#include "store/mirrored_table.h"
#include "values/row_batch.h"

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
  const Statement& row() const noexcept { return *at_; }
  void reset();  // before the table is written to

  // Every row of the table has been found, once: one scan from its beginning to its end did it.
  bool found_all();

 private:
  bool step();
  bool is_at(const RowBatch& batch, std::size_t row) const;

  std::vector<int> key_;
  Statement all_;          // all columns, in the key's order
  Statement from_;         // the same, from a key on
  Statement* at_ = &all_;  // the one that steps
  bool on_row_ = false;    // of it…
  bool was_found_ = true;  // …which find() has returned; at the beginning there is none
  bool can_step_ = true;   // it has not come to its end
  bool unbroken_ = true;   // all_, and each of its rows was found
};

}  // namespace deltamirror
