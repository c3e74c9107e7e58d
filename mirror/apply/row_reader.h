// Takes the row in a line of the stream apart, into the values that a mirror has.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/mirrored_table.h"

namespace deltamirror {

struct Cell {
  bool present = false;  // the line has it; else its value is NULL here
  Value value;
  std::string unescaped;  // what `value` borrows where the raw text had escapes
  std::string scratch;    // what it borrows where conversion made something new

  // `value`, with bytes of its own.
  void keep();
};
using Row = std::vector<Cell>;  // by column of the mirror

// Lifetime: borrows the table, whose shape must not change.
class RowReader {
 public:
  explicit RowReader(const MirroredTable& table);

  // `columns`: the raw fields after the verb; `row` has a cell for each column of the mirror, and
  // borrows them. Throws ProtocolError on a column that is in no schema line.
  void read(std::string_view columns, Row& row);

 private:
  int source_index(std::string_view raw_name, std::size_t& guess) const;

  const MirroredTable& table_;
  std::vector<std::string> raw_names_;  // of the source's columns, escaped as lines have them
  std::vector<int> targets_;            // for each, the mirror's column, or -1: not followed
  const bool shared_;                   // the first column is the source's name, in every row
};

}  // namespace deltamirror
