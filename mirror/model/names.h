// Table names: as lines spell them, as PostgreSQL knows them, as a mirror calls them.
#pragma once

#include <compare>
#include <string>
#include <string_view>

namespace deltamirror {

struct QualifiedName {
  std::string schema;
  std::string table;

  auto operator<=>(const QualifiedName&) const = default;
  std::string sql() const;      // "schema"."table"
  std::string display() const;  // schema.table
};

// From SQL's spelling, `t`, `s.t`, `"S"."T"`; without a schema it is `public`. Unquoted letters
// become small, as in SQL. Throws ConfigError where it is no table name.
QualifiedName parse_table_name(std::string_view text);

// The default name in a mirror: the bare one for `public`, else schema_table, as a name with a dot
// would have to be quoted in each query.
std::string default_mirror_name(const QualifiedName& name);

// Throws ConfigError for what SQLite does not let a table be called, and for our own prefix.
void check_mirror_name(const std::string& name);

// As SQLite compares names: ASCII letters without case.
std::string folded(std::string_view name);

}  // namespace deltamirror
