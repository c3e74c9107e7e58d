#include "touched_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace deltamirror {

using daystream::Action;

namespace {

constexpr std::size_t kMostKeys = 1'000'000;

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
    if (table.is_static() || table.key().empty()) continue;
    Table& touched = tables_[table.shape.oid];
    touched.table = &table;
    touched.key = table.key();
    for (const int k : touched.key) {
      std::string& raw = touched.raw_names.emplace_back();
      daystream::escape_to(raw, table.shape.column(table.columns[k].attnum)->name);
    }
    oids_.emplace(table.shape.line_name, table.shape.oid);
  }
}

void TouchedKeys::read(daystream::Transaction& transaction) {
  if (transaction.kind() != daystream::Transaction::Kind::Transaction) return;
  for (daystream::Line line; transaction.next_line(line);) {
    const daystream::Change change = daystream::parse_change(line.body);
    if (change.oid != 0) {  // a shape
      const auto found = tables_.find(change.oid);
      // The first of a connection tells again what is known.
      if (found != tables_.end() && (change.action != Action::Schema ||
                                     parse_schema(change).shape != found->second.table->shape)) {
        found->second.whole = true;
      }
      continue;
    }
    const auto oid = oids_.find(std::string(change.table));
    if (oid == oids_.end()) continue;
    Table& table = tables_.at(oid->second);
    switch (change.action) {
      case Action::Insert:
      case Action::Update:
      case Action::Delete:
      case Action::Replace:
        add(table, change.columns);
        break;
      default:
        table.whole = true;
    }
  }
}

void TouchedKeys::add(Table& table, std::string_view columns) {
  std::vector<std::string> scratch(2 * table.key.size());
  std::vector<Value> values(table.key.size());
  std::size_t found = 0;
  std::string_view name;
  std::string_view raw;
  for (daystream::FieldCursor fields{columns}; fields.next(name, raw);) {
    const auto at = std::find(table.raw_names.begin(), table.raw_names.end(), name);
    if (at == table.raw_names.end()) continue;
    const auto i = static_cast<std::size_t>(at - table.raw_names.begin());
    scratch[2 * i] = daystream::unescape(raw);
    values[i] =
        convert(table.table->columns[table.key[i]].type, scratch[2 * i], scratch[2 * i + 1]);
    ++found;
  }
  // A part of the key that is not in the line did not change; which it is, a line does not say.
  if (found != values.size()) {
    table.whole = true;
    return;
  }
  std::string key;
  for (const Value& value : values) append(key, value);
  if (table.keys.insert(std::move(key)).second && ++count_ > kMostKeys) {
    throw daystream::NeedsPerson(
        fmt::format("the mirror is more than {} changed rows behind", kMostKeys),
        "let its \"run\" catch up before a sample is compared, or verify all rows");
  }
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
