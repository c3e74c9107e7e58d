#include "program/told_tables.h"

#include <fmt/format.h>

#include "program/quoted.h"

namespace daystream::program {

std::optional<std::string_view> option_of(const Holding& holding, std::string_view name) {
  for (const auto& [option, value] : holding.options) {
    if (option == name) return value;
  }
  return std::nullopt;
}

std::string_view untold_option(Untold why) noexcept {
  switch (why) {
    case Untold::Actions:
      return "untold-actions";
    case Untold::ViaRoot:
      return "untold-via-root";
    case Untold::RowFilter:
      return "untold-row-filter";
    case Untold::Columns:
      return "untold-columns";
    case Untold::Shapes:
      return "untold-shapes";
    case Untold::NotThere:
      break;
  }
  return {};
}

UntoldText untold_text(Untold why, std::string_view publication, std::string_view table) {
  const std::string it = fmt::format("publication \"{}\"", publication);
  const std::string alter = fmt::format("ALTER PUBLICATION {}", quoted(publication, '"'));
  switch (why) {
    case Untold::Actions:
      return {it + " does not publish all changes",
              alter + " SET (publish = 'insert, update, delete, truncate');"};
    case Untold::ViaRoot:
      return {it +
                  " publishes partitions via their root: PostgreSQL does not tell then that one of "
                  "them was truncated",
              alter + " SET (publish_via_partition_root = false);"};
    case Untold::RowFilter:
    case Untold::Columns:
      return {fmt::format("{} has a {} on table {}: it leaves changes out", it,
                          why == Untold::RowFilter ? "row filter" : "list of columns", table),
              fmt::format("{0} DROP TABLE {1}; {0} ADD TABLE {1};", alter, table)};
    case Untold::Shapes:
      return {it + " does not publish deltaflood.ddl, by which shapes of tables are told",
              fmt::format("SELECT deltaflood.install({});", quoted(publication, '\''))};
    case Untold::NotThere:
      break;
  }
  return {fmt::format("{} does not have table {}, or did not tell all of its changes", it, table),
          fmt::format("{} ADD TABLE {}; where it has the table, it comes back by itself", alter,
                      table)};
}

std::optional<UntoldText> why_untold(const Holding& holding, std::string_view table) {
  const auto publication = option_of(holding, "publication");
  if (!publication) return std::nullopt;
  for (const Untold why : kUntoldReasons) {
    const auto tables = option_of(holding, untold_option(why));
    if (!tables || (!tables->empty() && !table_list_matches(*tables, table))) continue;
    return untold_text(why, *publication, table);
  }
  return untold_text(Untold::NotThere, *publication, table);
}

}  // namespace daystream::program
