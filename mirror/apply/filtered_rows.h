// A table of which the mirror has the rows that a `where` chooses.
#pragma once

#include <vector>

#include "apply/row_writer.h"

namespace deltamirror {

// What is checked as strictly as everywhere: an INSERT that fits must not meet a row; and where the
// old row's columns that the filter reads are logged (all of them with REPLICA IDENTITY FULL, else
// those of the key), the mirror has the row if and only if it fitted. What cannot be checked:
// whether a row of which only the key is logged should have been here. Then its absence is taken to
// mean that it did not fit, and a row that somebody else has deleted from the mirror is missed
// until it changes into the filter or verify finds it.
//
// Lifetime: borrows the table, whose `where` is there, and the writer.
class FilteredRows {
 public:
  FilteredRows(const MirroredTable& table, RowWriter& writer);

  void insert(const Row& row);
  void erase(const Row& old);
  // `old`: as far as the stream has it; nullptr: it does not. False: all is done. True: the row
  // is in the mirror and stays, what is left is its update. Throws NeedsReseed where it enters and
  // the stream does not have it whole, whose missing columns `row` otherwise gets from `old`.
  bool update(Row& row, const Row* old);

 private:
  void check_old(const Row& old, bool exists) const;
  void complete(Row& row, const Row* old) const;

  const MirroredTable& table_;
  RowWriter& writer_;
  std::vector<std::size_t> columns_;          // of the mirror, as the filter's attnums()
  mutable std::vector<const Value*> values_;  // scratch
  Row there_;                                 // as the mirror has it
};

}  // namespace deltamirror
