// Whether tables in PostgreSQL and their copies in a SQLite mirror hold the same rows.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "support/cluster.h"

namespace support {

struct ComparedTable {
  std::string postgres;    // as SQL spells it: public.t
  std::string sqlite;      // the name in the mirror, unquoted; empty: the part after the last dot
  std::string query = {};  // instead of the whole table
};

// Compares row by row, column by column (by name), and names the first differences, one a line;
// empty: all equal. Rows are matched by primary key (bytes of its text), keyless ones by content.
//
// A value is its PostgreSQL text, brought to the form mirror/TYPES.md gives it in SQLite: booleans
// are 1 and 0, bytea is hexadecimal, timestamptz is in UTC without suffix, floats are compared as
// numbers. The mirror is opened read-only, in one snapshot.
std::vector<std::string> compare_tables(Session& postgres, const std::filesystem::path& mirror,
                                        const std::vector<ComparedTable>& tables);

// PRAGMA integrity_check: "ok", or what is wrong.
std::string integrity_check(const std::filesystem::path& mirror);

}  // namespace support
