#include "command/unused_patterns.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "grammar/table_list.h"

namespace deltastream {

namespace {

using daystream::program::PgResult;
using grammar::ListOf;
using grammar::Pattern;

std::string_view cell(const PgResult& result, int row, int column) {
  return {PQgetvalue(result.get(), row, column),
          static_cast<std::size_t>(PQgetlength(result.get(), row, column))};
}

// What PostgreSQL decodes, and what it decodes the parts of. Its own catalogs are not among it.
constexpr const char* kTables =
    "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.oid >= 16384";
constexpr const char* kColumns =
    "SELECT n.nspname, c.relname, a.attname FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
    "WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.oid >= 16384";

// Adds those of `list` that match no row of `names`.
void add_unused(std::vector<std::string>& unused, std::string_view option, std::string_view list,
                ListOf what, const PgResult& names) {
  std::string storage(list.size(), '\0');
  std::vector<Pattern> patterns(grammar::pattern_capacity(list));
  patterns.resize(grammar::parse_list(list, what, storage.data(), patterns.data()).count);
  for (const Pattern& pattern : patterns) {
    bool used = false;
    for (int row = 0; row < PQntuples(names.get()) && !used; ++row) {
      used = what == ListOf::Columns
                 ? grammar::matches_column(pattern, cell(names, row, 0), cell(names, row, 1),
                                           cell(names, row, 2))
                 : grammar::matches_table(pattern, cell(names, row, 0), cell(names, row, 1));
    }
    if (!used) unused.push_back(fmt::format("{}: {}", option, pattern.text));
  }
}

}  // namespace

std::vector<std::string> unused_patterns(ReplicationConnection& connection, const Config& config) {
  std::vector<std::string> unused;
  const auto filter = [&](std::string_view name) {
    const auto found = std::find_if(config.filters.begin(), config.filters.end(),
                                    [&](const auto& option) { return option.first == name; });
    return found == config.filters.end() ? std::string_view() : std::string_view(found->second);
  };
  const std::string_view excluded = filter("exclude-tables");
  if (!config.tables.empty() || !excluded.empty()) {
    const PgResult names = connection.exec(kTables);
    if (!config.tables.empty()) {
      add_unused(unused, "tables", config.tables, ListOf::Tables, names);
    }
    if (!excluded.empty()) add_unused(unused, "exclude-tables", excluded, ListOf::Tables, names);
  }
  if (const std::string_view columns = filter("exclude-columns"); !columns.empty()) {
    add_unused(unused, "exclude-columns", columns, ListOf::Columns, connection.exec(kColumns));
  }
  return unused;
}

}  // namespace deltastream
