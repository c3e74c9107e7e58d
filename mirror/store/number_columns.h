// Numbers that compare as numbers, for columns whose decimals only text keeps exactly.
//
// SQLite compares TEXT '9.5' > '10'. So beside each column of exact decimals as text, `total`, a
// mirrored table has a generated column `total_num`, REAL, the double next to the number: for
// WHERE, ORDER BY and indexes. It takes no room. NaN is the text NaN, which SQLite sorts after all
// numbers, as PostgreSQL sorts NaN. A table that has a column of
// that name itself keeps its own and has no other; a column whose type was chosen (TYPES.md,
// "Another type for a column") has none; nor have the tables of a history.
#pragma once

#include <string>
#include <vector>

#include "sqlite/sqlite.h"
#include "store/mirrored_table.h"

namespace deltamirror {

struct NumberColumn {
  int attnum = 0;    // of the source's column whose numbers it has
  std::string name;  // its own, in SQLite
  std::string of;    // that column's

  std::string sql() const;  // as CREATE TABLE and ADD COLUMN have it
};

// In the order of the table's columns.
std::vector<NumberColumn> number_columns(const MirroredTable& table);
// Whether an index may name it: a column of the table or a number column.
bool has_column(const MirroredTable& table, const std::string& name);

// Adds to the SQLite table those that it lacks, of columns that it has.
void add_number_columns(Database& db, const MirroredTable& table);
// The names of those that the SQLite table `table` has.
std::vector<std::string> number_columns_there(Database& db, const std::string& table);
// Drops one of the SQLite table that `table` stands in, and the indexes that read it; nothing where
// there is none. Gives the SQL of those that somebody else has made.
std::vector<std::string> drop_number_column(Database& db, const MirroredTable& table,
                                            const std::string& name);

}  // namespace deltamirror
