// A table as a session with PostgreSQL copies it.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "seed/source_catalog.h"
#include "store/mirrored_table.h"
#include "values/binary_copy.h"

namespace deltamirror {

struct SeedTable {
  TableRequest request;
  SourceRelation relation;         // oid 0: a static query
  MirroredTable mirrored;          // complete once the snapshot is there
  std::string select_sql;          // its rows
  std::string copy_sql;            // COPY (…) TO STDOUT (FORMAT binary)
  std::vector<CopyColumn> copied;  // its columns
  bool by_query = false;           // copy_sql has a query that a user has written
};

}  // namespace deltamirror
