// Where a history stands in SQLite.
//
//   T             a view over all of it
//   T_seed        the table as it was copied: the history's beginning, or where it was begun again
//   T_20261121    "history": the lines of one UTC day (of their position)
//   T_days        "latest-per-day": each row as it was at the end of each day
//
// `_deltamirror_history` lists the tables of the third kind. What a column is called and holds in a
// day's table is what it was called and held then; the tables' columns are declared without a type,
// so that none changes a value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sqlite/sqlite.h"
#include "store/mirrored_table.h"

namespace deltamirror {

std::string base_name(const std::string& shown);      // T → T_seed
std::string shown_wish(const MirroredTable& table);   // of any mode, as it was asked for
std::string shown_name(const std::string& base);      // T_seed → T
std::string shown_name(const MirroredTable& table);   // of a mirrored table its own name
std::string days_name(const MirroredTable& history);  // T_days

// The UTC day of a position's second: 2026-11-21.
std::string day_of(std::int64_t c);
std::string day_before(const std::string& day, int days);

// Throws ConfigError where a column has a name that each row of a history has anyway, or where a
// row cannot be known by its key as this kind of history needs it.
void check_history(const MirroredTable& history);

// What a new history needs, or one whose beginning was copied again; its `base` is set. In the
// caller's transaction.
void begin_history(Database& db, const MirroredTable& history);
// A table for the lines of `day`, with all columns that the history has now. True: it is new.
bool make_day(Database& db, const MirroredTable& history, const std::string& day,
              std::string& name);
// Adds to a table of the history the columns that it does not have yet, and returns them.
std::vector<std::string> add_columns(Database& db, const MirroredTable& history,
                                     const std::string& table);
void make_view(Database& db, const MirroredTable& history);
// What is older than the history's keep_days, on `day`. True: something went.
bool expire(Database& db, const MirroredTable& history, const std::string& day);

// What readers find of a table goes, of a history all, and with it what is written down of it.
void remove_mirrored(Database& db, const MirroredTable& table);

}  // namespace deltamirror
