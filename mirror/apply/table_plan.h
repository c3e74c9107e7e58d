// How lines change the rows of one table.
#pragma once

#include <optional>
#include <string_view>

#include "apply/filtered_rows.h"
#include "apply/row_reader.h"
#include "apply/row_writer.h"
#include "daystream/line.h"

namespace deltamirror {

// Lifetime: borrows the database and the table. Changing the table's shape needs a new plan.
// Threads:  one.
class TablePlan {
 public:
  // Strict: see RowWriter. Lenient: goes on where a row is not as the stream says, for a comparison
  // that follows.
  enum class Strictness { Strict, Lenient };
  TablePlan(Database& db, const MirroredTable& table, Strictness strictness = Strictness::Strict);
  TablePlan(const TablePlan&) = delete;
  TablePlan& operator=(const TablePlan&) = delete;

  // One line of the table's rows: insert, update, delete, replace; truncate and rewrite, after
  // which there are none. Throws NeedsPerson where it does not identify the row, ProtocolError on a
  // verb that is no row's; with a `where` NeedsReseed (apply/filtered_rows.h).
  void apply(const daystream::Change& change);

  // `columns`: the raw fields after the verb.
  void insert(std::string_view columns);
  void erase(std::string_view columns);
  // The row that the next update() changes: together they are one UPDATE … WHERE old identity.
  void replace(std::string_view columns);
  void update(std::string_view columns);
  void truncate();

  bool replace_open() const noexcept { return replace_open_; }

 private:
  bool changes_key(bool has_old) const;

  Database& db_;
  const MirroredTable& table_;
  RowReader reader_;
  RowWriter writer_;
  std::optional<FilteredRows> filtered_;  // nullopt: the mirror has all rows
  Row old_;
  Row new_;
  bool replace_open_ = false;
};

}  // namespace deltamirror
