// The tables of a database, as a configuration names them.
#pragma once

#include <libpq-fe.h>

#include <string>
#include <vector>

#include "model/names.h"

namespace deltamirror {

// All that looks like a table, but those of PostgreSQL itself, of extensions, and ours.
std::vector<QualifiedName> all_tables(PGconn* connection);

// As parse_table_name() reads it.
std::string spelt(const QualifiedName& name);

}  // namespace deltamirror
