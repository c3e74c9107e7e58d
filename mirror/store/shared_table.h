// One SQLite table with the rows of several sources, distinguished by its first column.
//
// The key is that column and the tables' own, so that each source's rows lie together and one
// never meets another's. The tables are of equal shape as far as they have the same columns: the
// key must be the same, and a column of one name must have one type here. A column that only some
// of them have is NULL in the others' rows: where a change of shape is made in one database after
// the other, all go on meanwhile.
#pragma once

#include <string>
#include <vector>

#include "sqlite/sqlite.h"
#include "store/mirrored_table.h"

namespace deltamirror {

// Those of `tables` that stand in the same SQLite table as `table`, without itself.
std::vector<MirroredTable> sharing(const std::vector<MirroredTable>& tables,
                                   const MirroredTable& table);

// Throws NeedsPerson that names the difference where the two cannot stand in one table.
void check_shareable(const MirroredTable& there, const MirroredTable& table);

// CREATE TABLE, or, where others' rows are there, the columns that are missing. Throws as
// check_shareable().
void make_shared(Database& db, const MirroredTable& table,
                 const std::vector<MirroredTable>& others);
// CREATE INDEX for what the table asks for and is not there yet.
void create_missing_indexes(Database& db, const MirroredTable& table);

// The source's name, as PostgreSQL's text.
std::string source_literal(const MirroredTable& table);

// ` WHERE "source" = 'eu'`, or nothing where the table is the source's alone.
std::string where_own(const MirroredTable& table);

// All of its rows go, and with the last source the table.
void drop_own(Database& db, const MirroredTable& table);

}  // namespace deltamirror
