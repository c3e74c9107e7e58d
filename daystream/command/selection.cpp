#include "selection.h"

#include <fmt/format.h>
#include <algorithm>

#include "daystream/error.h"
#include "daystream/manifest.h"
#include "origin.h"
#include "search.h"

namespace daystream::command {

namespace {

constexpr std::string_view kTableKey = "_table\t";

// Whether a table list names a single table, in a way that its lines hold it as it is written: then
// they can be searched for it. A name of few letters would be found everywhere.
bool is_one_name(std::string_view list) {
  constexpr std::size_t kLongEnough = 4;
  const auto dot = list.find('.');
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
  };
  return list.size() >= kLongEnough + (dot == std::string_view::npos ? 0 : dot + 1) &&
         std::all_of(list.begin(), list.end(), is_plain) && dot == list.rfind('.');
}

}  // namespace

Selection::Selection(const SelectionOptions& options) : tables_(options.tables), xid_(options.xid) {
  if (!tables_.empty()) check_table_list(tables_);
  for (const std::string& text : options.where) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw ConfigError(fmt::format("invalid condition \"{}\" for --where", text),
                        "write COLUMN=VALUE, a NULL as COLUMN=\\N");
    }
    std::string column;
    escape_to(column, std::string_view(text).substr(0, equals));
    const std::string_view given = std::string_view(text).substr(equals + 1);
    std::string value;
    if (given == kNull) {
      value = kNull;
    } else {
      escape_to(value, given);
    }
    where_.push_back({Needle(fmt::format("\t{}\t{}", column, value)), column, value});
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
  escape_to(source_, options.source);
  if (!where_.empty()) {
    needle_ = where_.front().needle;
  } else if (is_one_name(tables_)) {
    needle_.emplace(tables_.substr(tables_.find('.') + 1));
  }
  all_ = tables_.empty() && where_.empty() && actions_.empty() && !xid_ && source_.empty();
}

bool Selection::takes_transaction(const Transaction& transaction) const {
  if (all_) return true;
  // Marks and gaps are lines of the stream, not of what was asked for.
  if (transaction.kind() != Transaction::Kind::Transaction) return false;
  if (xid_ && transaction.end().xid != *xid_) return false;
  if (!takes_source(transaction)) return false;
  // What is nowhere in it need not be looked for line by line. (A large one is.)
  const std::string_view text = transaction.text();
  return text.empty() || !needle_ || needle_->find_in(text) != std::string_view::npos;
}

bool Selection::takes_source(const Transaction& transaction) const {
  return source_.empty() || source_of(transaction.end()) == source_;
}

bool Selection::next_candidate(Transaction& transaction, Line& line, bool with_shapes) const {
  if (!needle_) return transaction.next_line(line);
  return transaction.next_line_where(
      [&](std::string_view lines) {
        const std::size_t found = pair_at(lines, needle_->find_in(lines));
        return with_shapes ? std::min(found, find_shape(lines.substr(0, found))) : found;
      },
      line);
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
    if (condition.needle.find_in(line.body) == std::string_view::npos) return false;
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
