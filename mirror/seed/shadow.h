// A table's successor, built beside it in the mirror and put in its place in one transaction.
#pragma once

#include <string>
#include <vector>

#include "sqlite/sqlite.h"
#include "store/indexes.h"
#include "store/mirrored_table.h"

namespace deltamirror {

// Readers see the old table, whole, until the transaction of put_in_place() commits, and the new
// one after. Indexes exist from the beginning, so that no step is long: they grow row by row.
//
// Lifetime: borrows the database. Everything runs in the caller's SQLite transactions; a roll back
//           of the one that made it, or of put_in_place(), makes the object useless.
class Shadow {
 public:
  // Creates it empty, with the indexes that `table` asks for, and those of others that the mirror's
  // table of that name has or, where there is none, what was set aside with the one before.
  // `before`: what the mirror's table was asked for, which is not others'.
  Shadow(Database& db, const MirroredTable& table, IndexColumns before = {});

  // As `table`, under the shadow's own SQLite name: for statements on it.
  const MirroredTable& table() const noexcept { return table_; }

  // DROP and RENAME, under the names of old. Views over the table stay as they are, triggers are
  // made again. No statement on either table may be alive. Rows of a shared table take the place of
  // the source's own there, which takes as long as to write them.
  void put_in_place();

  // After put_in_place(): SQL of indexes and triggers that cannot be made on the table as it is.
  const std::vector<std::string>& left_out() const noexcept { return left_out_; }

  // Drops what a killed process left of the source's. The names of the tables that were being
  // built.
  static std::vector<std::string> drop_left_over(Database& db, const std::string& source);

 private:
  struct Index {
    std::string meanwhile;  // its name until then
    std::string name;
    std::string sql;  // as sqlite_schema will have it
  };
  void add_index(const std::string& sql);
  std::string free_index_name(const std::string& wanted) const;
  void put_rows_in_place();

  Database& db_;
  std::string name_;  // in the end
  MirroredTable table_;
  const IndexColumns before_;
  std::vector<Index> indexes_;
  std::vector<std::string> triggers_;
  std::vector<std::string> left_out_;
};

// `CREATE [UNIQUE] INDEX name ON table(…) …` taken apart. Throws Error on anything else.
struct IndexSql {
  bool unique = false;
  std::string name;
  std::string rest;  // from the parenthesis on
};
IndexSql parse_index_sql(const std::string& sql);

}  // namespace deltamirror
