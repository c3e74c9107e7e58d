// Changes a mirrored table as `schema` lines say the source has changed.
#pragma once

#include <string>
#include <vector>

#include "apply/history_writer.h"
#include "model/shape.h"
#include "sqlite/sqlite.h"
#include "store/mirrored_table.h"

namespace deltamirror {

struct Reshaped {
  // A column's values read otherwise now: right only if a `rewrite` of the table follows in the
  // same transaction.
  bool needs_rewrite = false;
  std::string meaning;  // then: what reads otherwise
  // What else a person might want to know: an index that could not be kept.
  std::string notice;
  std::vector<CarriedValue> carried;  // of a history
};

// Brings the SQLite table, and `table`, from its shape to that of `line`; the table's SQLite name
// stays. Runs in the open SQLite transaction; no statement on the table may be alive. Throws
// NeedsPerson on a change that cannot be followed.
Reshaped reshape(Database& db, MirroredTable& table, const SchemaLine& line,
                 const TypeNames& types);

// The same for a table that stands in one with those of `others` (store/shared_table.h): only its
// own rows change. The table gets columns that it lacks, and loses those that nobody has any more.
Reshaped reshape_shared(Database& db, MirroredTable& table, const SchemaLine& line,
                        const TypeNames& types, std::vector<MirroredTable> others);

// The same for a history, whose tables stay as they are: `table` learns what lines have from here
// on.
Reshaped reshape_history(MirroredTable& table, const SchemaLine& line, const TypeNames& types);

}  // namespace deltamirror
