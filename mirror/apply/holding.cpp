#include "apply/holding.h"

#include <fmt/format.h>

#include "daystream/error.h"
#include "daystream/line.h"

namespace deltamirror {

namespace {

// Filters of the plugin, and splits of a daystream, that leave out part of a table's changes,
// whatever the table.
bool leaves_changes_out(std::string_view option, std::string_view value) {
  return option == "actions" || option == "exclude-columns" || option == "part" ||
         (option == "only-local" && value != "off" && value != "0" && value != "false");
}

}  // namespace

std::string why_not_held(const daystream::Holding& holding, std::string_view line_name) {
  for (const auto& [option, value] : holding.options) {
    if (leaves_changes_out(option, value)) {
      return fmt::format("its filter {}={} leaves changes out", option, value);
    }
  }
  if (holding.holds(daystream::unescape(line_name))) return {};
  return fmt::format("its tables are \"{}\"", holding.tables);
}

std::optional<daystream::Position> held_since(const daystream::Manifest& manifest,
                                              std::string_view line_name) {
  std::optional<daystream::Position> since;
  for (auto holding = manifest.holdings.rbegin(); holding != manifest.holdings.rend(); ++holding) {
    if (!why_not_held(*holding, line_name).empty()) break;
    since = holding->since;
  }
  return since;
}

const daystream::Holding* holding_at(const daystream::Manifest& manifest,
                                     daystream::Position position) {
  const daystream::Holding* found = nullptr;
  for (const daystream::Holding& holding : manifest.holdings) {
    if (holding.since <= position) found = &holding;
  }
  return found;
}

void require_one_database(const daystream::Manifest& manifest, const std::string& directory) {
  if (manifest.sources.empty()) return;
  std::string names;
  for (const daystream::MergedSource& source : manifest.sources) {
    names += (names.empty() ? "\"" : ", \"") + source.name + "\"";
  }
  throw daystream::NeedsPerson(
      fmt::format("daystream \"{}\" is merged of several databases: {}", directory, names),
      "a mirror is of one: follow the stream of that database itself");
}

}  // namespace deltamirror
