#include "apply/holding.h"

#include <fmt/format.h>

#include <utility>

#include "daystream/error.h"
#include "daystream/line.h"
#include "program/quoted.h"
#include "program/told_tables.h"

namespace deltamirror {

namespace {

// Filters of the plugin, and splits of a daystream, that leave out part of a table's changes,
// whatever the table.
bool leaves_changes_out(std::string_view option, std::string_view value) {
  return option == "actions" || option == "exclude-columns" || option == "part" ||
         (option == "only-local" && value != "off" && value != "0" && value != "false");
}

}  // namespace

std::optional<NotHeld> why_not_held(const daystream::Holding& holding, std::string_view line_name,
                                    Partitioning partitioning) {
  for (const auto& [option, value] : holding.options) {
    if (leaves_changes_out(option, value)) {
      return NotHeld{fmt::format("its filter {}={} leaves changes out", option, value),
                     "follow a stream without that filter"};
    }
  }
  if (partitioning == Partitioning::Root && !holding.by_root()) {
    return NotHeld{
        "it is partitioned, and its rows come under the names of its partitions",
        "follow it with --partition-root, of deltastream or of \"deltamirror up\"; or name "
        "the partitions, and join them in a SQLite view"};
  }
  if (partitioning == Partitioning::Partition && holding.by_root()) {
    return NotHeld{"its rows come under the name of the table that it is a partition of",
                   "follow that table, or a stream without --partition-root"};
  }
  const std::string name = daystream::unescape(line_name);
  if (holding.holds(name)) return std::nullopt;
  const std::string excluded(holding.excluded_tables());
  if (!excluded.empty() && daystream::table_list_matches(excluded, name)) {
    return NotHeld{fmt::format("its filter exclude-tables={} leaves it out", excluded),
                   "follow a stream without that filter"};
  }
  if (auto untold = daystream::program::why_untold(holding, name)) {
    return NotHeld{std::move(untold->what), std::move(untold->hint)};
  }
  return NotHeld{
      fmt::format("its tables are \"{}\"", holding.tables),
      how_to_change(holding, name, "ADD",
                    fmt::format("start deltastream with --tables '{},{}', or with that in its "
                                "configuration",
                                holding.tables, name))};
}

std::string how_to_change(const daystream::Holding& holding, const std::string& table,
                          const std::string& verb, const std::string& otherwise) {
  if (const auto publication = daystream::program::option_of(holding, "publication")) {
    return fmt::format("ALTER PUBLICATION {} {} TABLE {};",
                       daystream::program::quoted(*publication, '"'), verb, table);
  }
  return otherwise;
}

std::optional<NotHeld> why_excluded(const daystream::Holding& holding,
                                    const std::vector<std::string>& relatives) {
  const std::string excluded(holding.excluded_tables());
  if (excluded.empty()) return std::nullopt;
  for (const std::string& relative : relatives) {
    if (!daystream::table_list_matches(excluded, relative)) continue;
    return NotHeld{
        fmt::format("its filter exclude-tables={} leaves rows of {} out", excluded, relative),
        "follow a stream without that filter"};
  }
  return std::nullopt;
}

std::optional<daystream::Position> held_since(const daystream::Manifest& manifest,
                                              std::string_view line_name,
                                              Partitioning partitioning) {
  std::optional<daystream::Position> since;
  for (auto holding = manifest.holdings.rbegin(); holding != manifest.holdings.rend(); ++holding) {
    if (why_not_held(*holding, line_name, partitioning)) break;
    since = holding->since;
  }
  return since;
}

void require_one_database(const daystream::Manifest& manifest, const std::string& address) {
  manifest.require_one_database(address,
                                "a mirror is of one: follow the stream of that database itself");
}

}  // namespace deltamirror
