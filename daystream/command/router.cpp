#include "router.h"

#include <fmt/format.h>

#include <algorithm>

#include "crc32c.h"
#include "daystream/manifest.h"
#include "key_hash.h"
#include "table_book.h"

namespace daystream::command {

namespace {

std::string hashed(std::uint32_t crc, std::uint32_t into) {
  return std::to_string(crc % into);
}

}  // namespace

void Route::add(const Route& other) {
  all = all || other.all;
  for (const std::string& part : other.parts) {
    if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(part);
  }
}

Router::Router(const SplitRule& rule, const std::vector<SplitTable>& tables, Lsn from)
    : rule_(rule) {
  for (const SplitTable& table : tables) {
    if (table.lsn > from) break;
    tables_.insert_or_assign(table.table, Known{table.oid, table.key});
    names_.insert_or_assign(table.oid, table.table);
  }
}

bool Router::wanted(std::string_view raw_table) {
  if (rule_.tables.empty()) return true;
  auto at = wanted_.find(raw_table);
  if (at == wanted_.end()) {
    at = wanted_.emplace(raw_table, table_list_matches(rule_.tables, unescape(raw_table))).first;
  }
  return at->second;
}

std::string Router::part_of_name(std::string_view raw_table) const {
  std::string name = unescape(raw_table);
  if (rule_.by == SplitBy::Schema) name = schema_of(name);
  return rule_.into == 0 ? name : hashed(extend_crc(0, name), rule_.into);
}

Route Router::route(const Change& change) {
  if (change.table.empty()) return {true, {}};  // a message, or the drop of what has no name
  if (!wanted(change.table)) return {};
  const bool of_row = change.action == Action::Insert || change.action == Action::Update ||
                      change.action == Action::Delete || change.action == Action::Replace;
  if (rule_.by == SplitBy::Key) {
    if (!of_row) return {true, {}};
    return by_key(change);
  }
  Route route{false, {part_of_name(change.table)}};
  if (change.action == Action::Schema) {
    // The parts that know a table by its old name get its shape under the new one, too.
    const auto before = names_.find(change.oid);
    if (before != names_.end() && before->second != change.table) {
      route.add({false, {part_of_name(before->second)}});
    }
  }
  return route;
}

// A table without a key is not torn
// apart: all of it goes where its name says.
Route Router::by_key(const Change& change) const {
  const auto known = tables_.find(change.table);
  if (known == tables_.end() || known->second.key.empty() || change.identity == "none") {
    return {false, {hashed(extend_crc(0, change.table), rule_.into)}};
  }
  const auto hash = hash_of_key(0, known->second.key, change.columns);
  if (!hash) return {true, {}};  // unchanged and not logged: all parts get the row
  return {false, {hashed(*hash, rule_.into)}};
}

bool Router::learn(const Change& change, Lsn lsn, std::vector<SplitTable>& tables) {
  TableBook book;
  book.learn(change);
  const KnownTable& told = *book.find(change.table);
  names_.insert_or_assign(told.oid, std::string(change.table));
  const auto known = tables_.find(change.table);
  if (known != tables_.end() && known->second.oid == told.oid && known->second.key == told.key) {
    return false;
  }
  tables_.insert_or_assign(std::string(change.table), Known{told.oid, told.key});
  tables.push_back({lsn, told.oid, std::string(change.table), told.key});
  return true;
}

}  // namespace daystream::command
