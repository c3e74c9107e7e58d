// A table of the mirror that is made again, as SQLite changes neither keys nor types in place.
#pragma once

#include <string>
#include <vector>

#include "sqlite/sqlite.h"

namespace deltamirror {

// `fresh` comes to be called `name`, in place of the table that is, and gets its indexes and
// triggers. What SQLite does not make on it, as a column is gone, is left out: its SQL is returned.
// Runs in the caller's transaction.
std::vector<std::string> replace_table(Database& db, const std::string& name,
                                       const std::string& fresh);

}  // namespace deltamirror
