#include "table_list.h"

#include <fmt/format.h>

#include <algorithm>

#include "daystream/error.h"
#include "daystream/manifest.h"

namespace daystream {

TableList::TableList(std::string_view list)
    : storage_(list.size(), '\0'), patterns_(grammar::pattern_capacity(list)) {
  const grammar::ParsedList parsed =
      grammar::parse_list(list, grammar::ListOf::Tables, storage_.data(), patterns_.data());
  if (parsed.problem != nullptr) {
    throw ConfigError(fmt::format("invalid table list \"{}\": {}", list, parsed.problem),
                      "give table names separated by commas: flights, ops.crew, ops.*, \"Odd\"");
  }
  patterns_.resize(parsed.count);
}

bool TableList::matches(std::string_view table) const {
  std::string storage(table.size(), '\0');
  std::string_view schema;
  std::string_view name;
  // What deltaflood writes is always such a name; another plugin's may be spelt otherwise.
  if (!grammar::parse_table_name(table, storage.data(), schema, name)) {
    schema = "public";
    name = table;
  }
  return std::any_of(patterns_.begin(), patterns_.end(), [&](const grammar::Pattern& pattern) {
    return grammar::matches_table(pattern, schema, name);
  });
}

void check_table_list(std::string_view list) {
  const TableList parsed(list);
}

bool table_list_matches(std::string_view list, std::string_view table) {
  return TableList(list).matches(table);
}

bool table_list_covers(std::string_view list, std::string_view pattern) {
  const TableList wide(list);
  const TableList narrow(pattern);
  return std::all_of(
      narrow.patterns().begin(), narrow.patterns().end(), [&](const grammar::Pattern& one) {
        return std::any_of(
            wide.patterns().begin(), wide.patterns().end(),
            [&](const grammar::Pattern& other) { return grammar::covers_table(other, one); });
      });
}

}  // namespace daystream
