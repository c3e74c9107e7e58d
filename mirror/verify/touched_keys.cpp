#include "verify/touched_keys.h"

#include <fmt/format.h>

#include <cstring>

namespace deltamirror {

using daystream::Action;
using daystream::Change;

namespace {

constexpr std::size_t kMostTouched = 1'000'000;

// Two values have the same bytes here if and only if they are the same.
void append(std::string& out, const Value& value) {
  out += static_cast<char>(value.type);
  const auto append_number = [&](const auto& number) {
    char bytes[sizeof number];
    std::memcpy(bytes, &number, sizeof number);
    out.append(bytes, sizeof number);
  };
  switch (value.type) {
    case Value::Type::Null:
      break;
    case Value::Type::Integer:
      append_number(value.integer);
      break;
    case Value::Type::Real:
      append_number(value.real == 0 ? 0.0 : value.real);
      break;
    case Value::Type::Text:
    case Value::Type::Blob:
      append_number(value.bytes.size());
      out += value.bytes;
      break;
  }
}

}  // namespace

TouchedKeys::TouchedKeys(const std::vector<MirroredTable>& tables) {
  for (const MirroredTable& table : tables) {
    if (table.is_static()) continue;
    Table& touched = tables_[table.shape.oid];
    touched.table = &table;
    touched.key = table.key();
    if (!touched.key.empty()) touched.line_key.emplace(table);
    oids_.emplace(table.shape.line_name, table.shape.oid);
  }
}

const TouchedKeys::Table* TouchedKeys::find(const Change& change) const {
  if (change.oid != 0) {  // a shape
    const auto found = tables_.find(change.oid);
    return found == tables_.end() ? nullptr : &found->second;
  }
  if (change.action == Action::Message) return nullptr;
  const auto oid = oids_.find(std::string(change.table));
  return oid == oids_.end() ? nullptr : &tables_.at(oid->second);
}

const MirroredTable* TouchedKeys::followed(const Change& change) const {
  const Table* const table = find(change);
  return table == nullptr ? nullptr : table->table;
}

void TouchedKeys::read(daystream::Transaction& transaction) {
  if (transaction.kind() != daystream::Transaction::Kind::Transaction) return;
  for (daystream::Line line; transaction.next_line(line);) {
    take(daystream::parse_change(line.body), {});
    if (count_ <= kMostTouched) continue;
    throw daystream::NeedsPerson(
        fmt::format("the mirror is more than {} changed rows behind", kMostTouched),
        "let its \"run\" catch up before a sample is compared, or verify all rows");
  }
}

void TouchedKeys::take(const Change& change, const IsNew& is_new) {
  const Table* const found = find(change);
  if (found == nullptr) return;
  Table& table = tables_.at(found->table->shape.oid);
  switch (change.action) {
    case Action::Insert:
    case Action::Update:
    case Action::Delete:
    case Action::Replace:
      add(table, change.columns, is_new);
      return;
    case Action::Schema:
      // The first of a connection says again what is known.
      if (parse_schema(change).shape != table.table->shape) table.whole = true;
      return;
    default:
      table.whole = true;
  }
}

void TouchedKeys::add(Table& table, std::string_view columns, const IsNew& is_new) {
  // A part of the key that is not in the line did not change; which it is, a line does not say.
  if (!table.line_key || !table.line_key->read(columns)) {
    table.whole = true;
    return;
  }
  std::string key;
  for (const Value& value : table.line_key->values()) append(key, value);
  if (!table.keys.insert(std::move(key)).second) return;
  ++count_;
  if (is_new) is_new(table.line_key->values());
}

bool TouchedKeys::contains(std::uint32_t oid, const std::vector<Value>& key) const {
  std::string bytes;
  for (const Value& value : key) append(bytes, value);
  return tables_.at(oid).keys.contains(bytes);
}

bool TouchedKeys::contains(std::uint32_t oid, const RowBatch& batch, std::size_t row) const {
  const Table& table = tables_.at(oid);
  if (table.keys.empty()) return false;
  std::string bytes;
  for (const int k : table.key) append(bytes, batch.value(row, static_cast<std::size_t>(k)));
  return table.keys.contains(bytes);
}

}  // namespace deltamirror
