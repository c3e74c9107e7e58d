// What a change of a table's shape means for its columns in the mirror.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "apply/reshape.h"

namespace deltamirror {

using Renames = std::vector<std::pair<std::string, std::string>>;  // SQLite names, old and new

struct ColumnPlan {
  std::vector<MirrorColumn> columns;
  Renames renames;
  std::vector<std::size_t> added;  // indexes into columns
  bool dropped = false;
  bool retyped = false;
  // Columns whose numbers become exact text, by attribute number, and the digits behind the point.
  std::map<int, int> to_decimal;
};

// Throws NeedsPerson on a change that cannot be followed.
ColumnPlan plan_columns(const MirroredTable& table, const SchemaLine& line, const TypeNames& types,
                        Reshaped& result);

// What is written down of the table's indexes, under the columns' new names.
void rename_in_indexes(MirroredTable& table, const Renames& renames);

// What is in the SQLite column `name`, of that attribute, as it is to be from here on: SQL.
std::string value_now(const std::string& name, int attnum, const ColumnPlan& plan);

// What rows from before have in an added column, as SQL.
std::string missing_literal(const MissingValues& missing, const MirrorColumn& column);

// What others had put beside the table, and cannot stand there any more, is said, and kept to be
// made again.
void set_aside(MirroredTable& table, std::vector<std::string> left_out, Reshaped& result);

// The table's filter under the columns' new names and types.
void rebind_filter(MirroredTable& table, const SchemaLine& line, const TypeNames& types,
                   Reshaped& result);

}  // namespace deltamirror
