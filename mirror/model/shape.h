// The shape of a PostgreSQL table: what `schema` lines say and what a seed reads in the catalog.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daystream/line.h"

namespace deltamirror {

struct SourceColumn {
  int attnum = 0;
  std::string name;
  std::string type;  // as format_type spells it
  bool not_null = false;
  std::uint32_t type_oid = 0;  // 0: a type of PostgreSQL's own, which its name says

  bool operator==(const SourceColumn&) const = default;
};

// How a table takes part in partitioning, which decides under which name its rows come.
enum class Partitioning : std::uint8_t {
  None,
  Root,  // partitioned, at the top: `partition-root` brings its partitions' rows under its name
  Partition,  // without `partition-root`, under its own
};

struct Shape {
  std::uint32_t oid = 0;
  std::string line_name;              // raw, as `_table` spells it
  char identity = 'd';                // replica identity: d, i, f, n
  std::vector<int> primary_key;       // attribute numbers; empty: none (a deferrable one is none)
  std::vector<int> identity_key;      // of the replica identity index; empty: none
  std::vector<SourceColumn> columns;  // in order of attnum, dropped ones left out

  bool operator==(const Shape&) const = default;

  const SourceColumn* column(int attnum) const noexcept;
  const SourceColumn* column_called(const std::string& name) const noexcept;
  // What old rows are named by: the identity's columns, or with FULL the primary key, which the
  // whole old row contains. Empty: nothing, or with FULL all columns.
  const std::vector<int>& row_key() const noexcept;
};

// What `schema` says beside the shape: for columns added with a constant default, the value that
// rows from before have, by attribute number; nullopt: NULL.
using MissingValues = std::vector<std::pair<int, std::optional<std::string>>>;

// What the text of the table's values depends on besides the values (FORMAT.md, "Types"): by key,
// as schema lines have them, what the types of its columns are and are made of (`_type_OID`), and
// the names of enums' labels (`_label_OID_OID`).
using ValueFacts = std::map<std::string, std::string>;

struct SchemaLine {
  Shape shape;
  MissingValues missing;
  ValueFacts facts;
};

// What a mirror does when a table it follows changes its shape.
enum class ShapePolicy : std::uint8_t { Follow, Stop };

// Throws ProtocolError where `change`, a `schema` line, does not say what it must.
SchemaLine parse_schema(const daystream::Change& change);

// `1,2` → 1 and 2. Throws ProtocolError.
std::vector<int> parse_attribute_numbers(std::string_view list);

// `2:16390,5:16400` → attribute numbers and OIDs of types. Throws ProtocolError.
std::vector<std::pair<int, std::uint32_t>> parse_column_types(std::string_view list);

// False: initdb made the type for good, and its name says all of it.
constexpr bool is_changeable_type(std::uint32_t oid) noexcept {
  return oid >= 12000;
}

// One line that tells a person how `to` differs from `from`; empty: not at all.
std::string difference(const Shape& from, const Shape& to);

}  // namespace deltamirror
