// Lists of tables, columns and texts, as plugin and readers take them.
#include "grammar/table_list.h"

#include <string>
#include <vector>

#include "daystream/error.h"
#include "serve/table_filter.h"
#include "table_list.h"
#include "target.h"

using namespace daystream;

namespace {

void parse(std::string_view list, grammar::ListOf what) {
  std::string storage(list.size(), '\0');
  std::vector<grammar::Pattern> patterns(grammar::pattern_capacity(list));
  const grammar::ParsedList parsed =
      grammar::parse_list(list, what, storage.data(), patterns.data());
  fuzz::require(parsed.count <= patterns.size(), "a list has room for its patterns");
  fuzz::require((parsed.problem == nullptr) == (parsed.count > 0), "it has some, or says why not");
  for (std::size_t i = 0; i < parsed.count; ++i) {
    fuzz::require(fuzz::lies_in(patterns[i].text, list), "a pattern is part of its list");
    fuzz::require(grammar::covers_table(patterns[i], patterns[i]), "a pattern covers itself");
  }
}

// Every single pattern is found in the list that it is of.
void match(const std::string& list) {
  const TableList whole(list);
  for (const std::string& name : serve::split_table_list(list)) {
    fuzz::require(table_list_covers(list, name), "a list covers what it lists");
    fuzz::require(!serve::narrowed(list, name).empty(), "and has it in common with it");
  }
  fuzz::require(whole.matches("fox") == serve::TableFilter(list, "").takes("fox"),
                "a filter takes what its list has");
}

}  // namespace

FUZZ_TARGET(table_list) {
  for (const auto what :
       {grammar::ListOf::Tables, grammar::ListOf::Columns, grammar::ListOf::Texts}) {
    parse(input, what);
  }
  std::string storage(input.size(), '\0');
  std::string_view schema;
  std::string_view table;
  if (grammar::parse_table_name(input, storage.data(), schema, table)) {
    fuzz::require(!schema.empty() && !table.empty(), "a name has both parts");
    fuzz::require(TableList(input).matches(input), "a name as a list is a list of that table");
  }
  try {
    match(std::string(input));
  } catch (const ConfigError&) {
  }
}
