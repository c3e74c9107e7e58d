#include "serve/table_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "daystream/line.h"
#include "daystream/manifest.h"
#include "table_list.h"

namespace daystream::serve {

namespace {

// Filters whose values name nothing.
constexpr std::array<std::string_view, 3> kOfNoTable = {"actions", "only-local", "partition-root"};

bool holds(const std::vector<std::string>& names, const std::string& name) {
  return std::any_of(names.begin(), names.end(), [&name](const std::string& pattern) {
    return table_list_covers(pattern, name);
  });
}

// Whether there may be a name that both parts match. `meets[i][j]`: of the first i and j
// characters.
bool may_meet(std::string_view a, std::string_view b) {
  std::vector<std::vector<bool>> meets(a.size() + 1, std::vector<bool>(b.size() + 1, false));
  meets[0][0] = true;
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      const bool a_any = i > 0 && a[i - 1] == grammar::kAny;
      const bool b_any = j > 0 && b[j - 1] == grammar::kAny;
      bool here = meets[i][j];
      // A wildcard takes nothing, or one more character of the other.
      if (a_any) here = here || meets[i - 1][j] || (j > 0 && meets[i][j - 1]);
      if (b_any) here = here || meets[i][j - 1] || (i > 0 && meets[i - 1][j]);
      if (i > 0 && j > 0 && !a_any && !b_any && a[i - 1] == b[j - 1]) {
        here = here || meets[i - 1][j - 1];
      }
      meets[i][j] = here;
    }
  }
  return meets[a.size()][b.size()];
}

}  // namespace

std::vector<std::string> split_table_list(const std::string& list) {
  std::vector<std::string> names;
  if (list.empty()) return names;
  const TableList parsed(list);
  for (const grammar::Pattern& pattern : parsed.patterns()) names.emplace_back(pattern.text);
  return names;
}

std::optional<std::string> told_option(const std::string& option, const std::string& value,
                                       const std::string& granted) {
  if (granted.empty()) return value;
  if (option == "include-messages") return std::nullopt;  // messages are of no table
  if (std::find(kOfNoTable.begin(), kOfNoTable.end(), option) != kOfNoTable.end()) return value;
  const bool of_columns = option == "exclude-columns";
  if (!of_columns && option != "exclude-tables") return "";  // who knows what it names
  std::string storage(value.size(), '\0');
  std::vector<grammar::Pattern> patterns(grammar::pattern_capacity(value));
  const auto what = of_columns ? grammar::ListOf::Columns : grammar::ListOf::Tables;
  patterns.resize(grammar::parse_list(value, what, storage.data(), patterns.data()).count);
  const TableList known(granted);
  std::vector<std::string_view> told;
  for (const grammar::Pattern& pattern : patterns) {
    const bool concerns = std::any_of(known.patterns().begin(), known.patterns().end(),
                                      [&pattern](const auto& table) {
                                        return may_meet(pattern.parts[0], table.parts[0]) &&
                                               may_meet(pattern.parts[1], table.parts[1]);
                                      });
    if (concerns) told.push_back(pattern.text);
  }
  if (told.empty()) return std::nullopt;
  return fmt::format("{}", fmt::join(told, ","));
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
