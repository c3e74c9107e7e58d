// Many rows into one table of SQLite, at the speed of a single statement.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "sqlite/sqlite.h"
#include "values/row_batch.h"

namespace deltamirror {

// The next rows; nullptr: that was all. Each lives until the next call. May throw.
using RowSource = std::function<const RowBatch*()>;

// Inserts what `next` gives into `table`, whose columns the batches have, in their order, or those
// of `names` (as SQL lists them; empty: all); returns how many rows that were. SQLite itself draws
// the rows, from a virtual table (sqlite.org/vtab.html) that lives as long as the call: nothing is
// bound, and the cursor stays where the last row went, which takes half the time of an INSERT for
// each row.
//
// Errors: what `next` throws; SqliteError. Rows may be left in the table: roll back.
std::uint64_t bulk_insert(Database& db, const std::string& table, std::size_t columns,
                          const RowSource& next, const std::string& names = {});

}  // namespace deltamirror
