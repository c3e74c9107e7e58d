// The indexes of a table that its wish asks for.
//
// A wish names columns as it does in all else it says of them (MirrorColumn::asked): its index is
// on the column that has the name, or had it last, and goes over to one that takes the name.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sqlite/sqlite.h"
#include "store/mirrored_table.h"

namespace deltamirror {

using IndexColumns = std::vector<std::vector<std::string>>;  // of each index, by SQLite names

// Of the indexes that a wish has, those whose columns are there, as these are called now.
IndexColumns indexes_now(const MirroredTable& table, const IndexColumns& wished);
// The same of the table's own wish.
IndexColumns wished_indexes(const MirroredTable& table);

// What the index on `columns` of `table` is called: another name than index_name() has now, where
// table or columns were called otherwise when it was made. The latter where there is none.
std::string index_there(const Database& db, const MirroredTable& table,
                        const std::vector<std::string>& columns);

// What stands on the SQLite table and is none of `table.indexes`.
std::vector<SchemaObject> others_objects(const Database& db, const MirroredTable& table,
                                         std::string_view type = {});

// CREATE INDEX for those of `table.indexes` that are not there yet.
void create_missing_indexes(Database& db, const MirroredTable& table);

// `table.indexes` become those of its wish, and so does what is there. `before`: what its rows had,
// as the columns are called now. One that another of those that stand in the same table has stays.
void settle_indexes(Database& db, MirroredTable& table, const IndexColumns& before,
                    const std::vector<MirroredTable>& others);

}  // namespace deltamirror
