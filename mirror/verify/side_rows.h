// Some rows of a mirrored table as they are at another moment, beside the table.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "apply/table_plan.h"
#include "sqlite/sqlite.h"
#include "store/mirrored_table.h"

namespace deltamirror {

// A set of keys, and those rows of them that exist at that moment. Temporary tables of the
// connection hold both, on disk where they are many; the mirror need not be writable.
//
// Lifetime: borrows the database; no statement on the tables may be alive when it ends.
class SideRows {
 public:
  SideRows(Database& db, const MirroredTable& table);
  SideRows(const SideRows&) = delete;
  SideRows& operator=(const SideRows&) = delete;
  ~SideRows();

  // The mirror's table, and the same under the name of the temporary one.
  const MirroredTable& table() const noexcept { return table_; }
  const MirroredTable& rows() const noexcept { return rows_; }
  const std::string& keys_name() const noexcept { return keys_name_; }

  // A key that is not among them yet.
  void add_key(const std::vector<Value>& key);
  bool has_key(const std::vector<Value>& key);
  void add_row(const std::vector<Value>& row);
  // The row as the mirror has it; false: it has none.
  bool add_row_of_mirror(const std::vector<Value>& key);
  // What the stream does to rows of these keys.
  TablePlan& plan() noexcept { return *plan_; }

  // Makes the mirror's rows of these keys the same, where they are not; how many that took. In the
  // caller's transaction.
  std::uint64_t write_to_mirror();

 private:
  Database& db_;
  const MirroredTable table_;
  MirroredTable rows_;
  std::string keys_name_;
  std::unique_ptr<TablePlan> plan_;
  Statement add_key_;
  Statement has_key_;
  Statement add_row_;
  Statement fetch_;
};

}  // namespace deltamirror
