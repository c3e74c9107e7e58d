// One SQLite table with the rows of several sources, distinguished by its first column.
//
// The key is that column and the tables' own, so that each source's rows lie together and one
// never meets another's. The tables are of equal shape as far as they have the same columns: the
// key must be the same, and a column of one name must have one type here. A column that only some
// of them have is NULL in the others' rows: where a change of shape is made in one database after
// the other, all go on meanwhile.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sqlite/sqlite.h"
#include "store/mirrored_table.h"

namespace deltamirror {

// Returns which of `tables`, without `table` itself, stand in the same SQLite table as it.
std::vector<MirroredTable> sharing(const std::vector<MirroredTable>& tables,
                                   const MirroredTable& table);

// What check_shareable() looks at of all that stands in one table with `table`: after each change
// of it another text.
std::string shape_of_others(const Database& db, const MirroredTable& table);

// Throws NeedsPerson that names the difference where the two cannot stand in one table.
void check_shareable(const MirroredTable& there, const MirroredTable& table);

// Throws as check_shareable() where `table` does not fit those of `others` that are followed. Rows
// that are kept of a table that is not (OnTrouble::Keep) are in nobody's way: else none of them
// could come back once each source has changed its own.
void check_fits(const std::vector<MirroredTable>& others, const MirroredTable& table);

// For one that fits: kept rows of another key than its own cannot stand beside it, and go. Readers
// do not find those of that source until they are copied. Returns the others that stay.
std::vector<MirroredTable> make_room(Database& db, const MirroredTable& table,
                                     std::vector<MirroredTable> others);

// What a source's own rows are to have in some columns: SQL over the row as it was, by the column's
// name.
using OwnValues = std::map<std::string, std::string>;

enum class MadeShared { AsItIs, Again };

// CREATE TABLE, or, where rows of `others` (from make_room()) are there, the columns that are
// missing. Throws as check_fits(). A column that nobody else follows may be there with another
// type, as of what the source had before, or of another column that had its name: then all is
// copied into a table made again, where its own rows have `own` (Again). Of a column that has
// another type and is not in `own` they have NULL.
MadeShared make_shared(Database& db, const MirroredTable& table,
                       const std::vector<MirroredTable>& others, const OwnValues& own = {});

// A column that none of `having` has goes from the SQLite table of the first of them, with what
// `indexes` asks for on it. Returns, for people, those that stay, empty, as something that somebody
// has made in SQLite reads them; or nothing.
std::string drop_unused_columns(Database& db, const std::vector<MirroredTable>& having,
                                const std::vector<std::vector<std::string>>& indexes);

// All that are asked for in one table with `table` by other sources, also where they have no rows
// there now.
std::vector<MirroredTable> wished_beside(const std::vector<MirroredTable>& tables,
                                         const MirroredTable& table);

// The source's name, as PostgreSQL's text.
std::string source_literal(const MirroredTable& table);

// ` WHERE "source" = 'eu'`, or nothing where the table is the source's alone.
std::string where_own(const MirroredTable& table);

// All of its rows go, and with the last source the table.
void drop_own(Database& db, const MirroredTable& table);

}  // namespace deltamirror
