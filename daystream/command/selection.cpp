#include "selection.h"

#include <fmt/format.h>
#include <string.h>

#include <algorithm>

#include "daystream/error.h"
#include "daystream/manifest.h"

namespace daystream::command {

namespace {

constexpr std::string_view kTableKey = "_table\t";

bool contains(std::string_view text, std::string_view needle) {
  return memmem(text.data(), text.size(), needle.data(), needle.size()) != nullptr;
}

}  // namespace

Selection::Selection(const SelectionOptions& options) : tables_(options.tables), xid_(options.xid) {
  if (!tables_.empty()) table_list_matches(tables_, "any");  // throws where it is not one
  for (const std::string& text : options.where) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw ConfigError(fmt::format("invalid condition \"{}\" for --where", text),
                        "write COLUMN=VALUE, a NULL as COLUMN=\\N");
    }
    Condition condition;
    escape_to(condition.column, std::string_view(text).substr(0, equals));
    const std::string_view value = std::string_view(text).substr(equals + 1);
    if (value == kNull) {
      condition.value = kNull;
    } else {
      escape_to(condition.value, value);
    }
    condition.needle = "\t" + condition.column + "\t" + condition.value;
    where_.push_back(std::move(condition));
  }
  for (const std::string& name : options.actions) {
    const auto action = action_named(name);
    if (!action) {
      throw ConfigError(fmt::format("unknown action \"{}\" for --actions", name),
                        "actions are insert, update, delete, truncate, schema, drop, rewrite, "
                        "message, oversize");
    }
    actions_.push_back(*action);
    // The pair is one UPDATE.
    if (*action == Action::Update) actions_.push_back(Action::Replace);
  }
  all_ = tables_.empty() && where_.empty() && actions_.empty() && !xid_;
}

bool Selection::takes_transaction(const Transaction& transaction) const {
  if (all_) return true;
  // Marks and gaps are lines of the stream, not of what was asked for.
  if (transaction.kind() != Transaction::Kind::Transaction) return false;
  if (xid_ && transaction.end().xid != *xid_) return false;
  // What is nowhere in it need not be looked for line by line. (A large one is.)
  const std::string_view text = transaction.text();
  return text.empty() || where_.empty() || contains(text, where_.front().needle);
}

bool Selection::takes_table(std::string_view table) {
  // Names differ in length and in their last bytes: a slot each, for most lines of most streams.
  std::uint64_t hash = table.size();
  for (std::size_t i = table.size() > 4 ? table.size() - 4 : 0; i < table.size(); ++i) {
    hash = hash * 31 + static_cast<unsigned char>(table[i]);
  }
  Known& known = known_tables_[hash % known_tables_.size()];
  if (known.table != table)
    known = {std::string(table), table_list_matches(tables_, unescape(table))};
  return known.taken;
}

bool Selection::takes_columns(std::string_view columns) const {
  return std::all_of(where_.begin(), where_.end(), [&](const Condition& condition) {
    FieldCursor cursor(columns);
    std::string_view key;
    std::string_view value;
    while (cursor.next(key, value)) {
      if (key == condition.column) return value == condition.value;
    }
    return false;
  });
}

bool Selection::takes_line(const Line& line) {
  // The cheap questions first; most lines are refused without being taken apart.
  if (!tables_.empty()) {
    if (!line.body.starts_with(kTableKey)) return false;
    const auto tab = line.body.find('\t', kTableKey.size());
    if (!takes_table(line.body.substr(kTableKey.size(), tab - kTableKey.size()))) return false;
  }
  for (const Condition& condition : where_) {
    if (!contains(line.body, condition.needle)) return false;
  }
  if (where_.empty() && actions_.empty()) return true;
  const Change change = parse_change(line.body);
  if (!actions_.empty() &&
      std::find(actions_.begin(), actions_.end(), change.action) == actions_.end()) {
    return false;
  }
  return takes_columns(change.columns);
}

}  // namespace daystream::command
