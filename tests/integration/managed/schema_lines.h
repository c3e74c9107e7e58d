// Schema lines from both sides, from `_oid` on: the plugin's, and those made of rows of
// deltaflood.ddl as deltastream does it.
#pragma once

#include <map>
#include <string>

#include "database.h"

namespace managed_test {

// The last one of each table, by its OID, of the slot that has the database's name. `options` go to
// the plugin, with a comma before them.
std::map<std::string, std::string> plugin_lines(const Database& db, const std::string& options);

// Of the newest shape of the table.
std::string line_of(const Database& db, const std::string& oid);

}  // namespace managed_test
