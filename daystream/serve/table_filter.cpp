#include "serve/table_filter.h"

#include <fmt/format.h>

#include <algorithm>

#include "daystream/line.h"
#include "daystream/manifest.h"
#include "table_list.h"

namespace daystream::serve {

namespace {

bool holds(const std::vector<std::string>& names, const std::string& name) {
  return std::any_of(names.begin(), names.end(), [&name](const std::string& pattern) {
    return table_list_covers(pattern, name);
  });
}

}  // namespace

std::vector<std::string> split_table_list(const std::string& list) {
  std::vector<std::string> names;
  if (list.empty()) return names;
  const TableList parsed(list);
  for (const grammar::Pattern& pattern : parsed.patterns()) names.emplace_back(pattern.text);
  return names;
}

std::string narrowed(const std::string& one, const std::string& other) {
  if (one.empty()) return other;
  if (other.empty()) return one;
  const std::vector<std::string> ones = split_table_list(one);
  const std::vector<std::string> others = split_table_list(other);
  std::vector<std::string> both;
  for (const std::string& name : ones) {
    if (holds(others, name)) both.push_back(name);
  }
  for (const std::string& name : others) {
    const bool is_new = std::find(both.begin(), both.end(), name) == both.end();
    if (is_new && holds(ones, name)) both.push_back(name);
  }
  return fmt::format("{}", fmt::join(both, ","));
}

std::string narrowed_holding(const std::string& held, const std::string& granted) {
  std::string both = narrowed(held, granted);
  // Empty would mean all of them. Tables of this schema are in no stream.
  if (both.empty() && !granted.empty()) both = "pg_toast.none";
  return both;
}

TableFilter::TableFilter(std::string asked, std::string granted)
    : asked_(std::move(asked)), granted_(std::move(granted)), text_(narrowed(asked_, granted_)) {
  if (!asked_.empty()) check_table_list(asked_);
  if (!granted_.empty()) check_table_list(granted_);
}

const TableFilter::Known& TableFilter::look_up(std::string_view table) {
  // Names differ in length and in their last bytes: a slot each, for most lines of most streams.
  std::size_t hash = table.size();
  for (std::size_t i = table.size() > 4 ? table.size() - 4 : 0; i < table.size(); ++i) {
    hash = hash * 31 + static_cast<unsigned char>(table[i]);
  }
  Known& known = known_[hash % known_.size()];
  if (known.table != table) {
    const std::string name = unescape(table);
    const bool granted = granted_.empty() || table_list_matches(granted_, name);
    known = {std::string(table), granted && (asked_.empty() || table_list_matches(asked_, name)),
             granted};
  }
  return known;
}

}  // namespace daystream::serve
