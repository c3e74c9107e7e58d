// What a mirror holds, said as a configuration would say it.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "store/mirrored_table.h"

namespace deltamirror {

// How `table` would be asked for as it is now.
TableRequest request_for(const MirroredTable& table);
// How it was asked for.
TableRequest wish_of(const MirroredTable& table);
// What a request says of its table, before PostgreSQL is asked.
MirroredTable asked_table(const TableRequest& request);
// The catalog's row of a wish for a table that is to be followed and is not here yet.
MirroredTable absent_table(const TableRequest& request);

// The name in the mirror that a request comes to: of a history its beginning's.
std::string name_for(const TableRequest& request);
// What readers and people call it: of a history without what its beginning has behind its name.
std::string shown_name_for(const TableRequest& request);

// The tables that they ask PostgreSQL for by a name that it can have.
std::vector<QualifiedName> table_names_of(const std::vector<TableRequest>& requests);

// Whether both ask for the same rows and columns: all but indexes and retention.
bool same_definition(const TableRequest& a, const TableRequest& b);

// By its name in the mirror or in PostgreSQL: of several sources each that has one. Throws
// ConfigError where the mirror has none.
std::vector<const MirroredTable*> find_tables(const std::vector<MirroredTable>& tables,
                                              const std::string& name);
// The first of them.
const MirroredTable& find_table(const std::vector<MirroredTable>& tables, const std::string& name);

// By what name_for() says of its wish; nullptr: none.
const MirroredTable* wished_as(const std::vector<MirroredTable>& tables, const std::string& name);

// How what is wanted differs from what a mirror holds.
struct ConfigChange {
  std::vector<TableRequest> add;      // not there, or defined otherwise
  std::vector<std::string> remove;    // names in the mirror
  std::vector<TableRequest> reindex;  // the same but for their indexes
};
ConfigChange compare(const std::vector<MirroredTable>& tables, const MirrorConfig& config);

// Whether each has its rows, so that SQL about them can be run.
bool are_all_there(const std::vector<MirroredTable>& tables);

// Throws ConfigError where two would have one name, or follow one table.
void check_distinct(const std::vector<MirroredTable>& tables,
                    const std::vector<TableRequest>& wanted);

// Runs those of `sqls` that the mirror has not run yet and remembers them, in the caller's
// transaction. Throws ConfigError that names the one that fails.
void run_extra_sql(Database& db, const std::vector<std::string>& sqls);

}  // namespace deltamirror
