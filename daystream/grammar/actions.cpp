#include "grammar/actions.h"

namespace grammar {

namespace {

unsigned action_of(std::string_view name) noexcept {
  if (name == "insert") return kInsert;
  if (name == "update") return kUpdate;
  if (name == "delete") return kDelete;
  if (name == "truncate") return kTruncate;
  return 0;
}

}  // namespace

ParsedActions parse_actions(std::string_view list) noexcept {
  ParsedActions parsed;
  for (;;) {
    const std::size_t comma = list.find(',');
    std::string_view name = list.substr(0, comma);
    while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
    while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
    const unsigned action = action_of(name);
    if (action == 0) return {0, name};
    parsed.actions |= action;
    if (comma == std::string_view::npos) return parsed;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace grammar
