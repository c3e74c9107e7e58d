#include "key_scan.h"

#include <fmt/format.h>

namespace deltamirror {

// -0.0 comes back as 0.0.
bool stores(const Statement& row, int column, const Value& value) {
  sqlite3_stmt* const raw = row.raw();
  const int type = sqlite3_column_type(raw, column);
  switch (value.type) {
    case Value::Type::Null:
      return type == SQLITE_NULL;
    case Value::Type::Integer:
      return type == SQLITE_INTEGER && sqlite3_column_int64(raw, column) == value.integer;
    case Value::Type::Real:
      return type == SQLITE_FLOAT && sqlite3_column_double(raw, column) == value.real;
    case Value::Type::Text:
    case Value::Type::Blob: {
      if (type != (value.type == Value::Type::Text ? SQLITE_TEXT : SQLITE_BLOB)) return false;
      const auto* bytes = static_cast<const char*>(sqlite3_column_blob(raw, column));
      const auto size = static_cast<std::size_t>(sqlite3_column_bytes(raw, column));
      return std::string_view(bytes == nullptr ? "" : bytes, size) == value.bytes;
    }
  }
  return false;
}

KeyScan::KeyScan(Database& db, const MirroredTable& table) : key_(table.key()) {
  std::string columns;
  for (const MirrorColumn& column : table.columns) {
    if (!columns.empty()) columns += ", ";
    columns += quote_name(column.name);
  }
  std::string key;
  std::string marks;
  for (const int k : key_) {
    if (!key.empty()) key += ", ", marks += ", ";
    key += quote_name(table.columns[k].name);
    marks += "?";
  }
  select_ = db.prepare(fmt::format("SELECT {} FROM {} WHERE ({}) >= ({}) ORDER BY {}", columns,
                                   quote_name(table.name), key, marks, key));
}

void KeyScan::reset() {
  select_.reset();
  on_row_ = false;
}

bool KeyScan::is_at(const RowBatch& batch, std::size_t row) const {
  for (const int k : key_) {
    if (!stores(select_, k, batch.value(row, static_cast<std::size_t>(k)))) return false;
  }
  return true;
}

bool KeyScan::find(const RowBatch& batch, std::size_t row) {
  if (on_row_ && was_found_) on_row_ = select_.step();
  was_found_ = on_row_ && is_at(batch, row);
  if (was_found_) return true;
  select_.reset();
  // Copied: the statement goes on longer than the batch lives.
  int index = 1;
  for (const int k : key_) {
    batch.value(row, static_cast<std::size_t>(k)).copy_to(select_, index++);
  }
  on_row_ = select_.step();
  was_found_ = on_row_ && is_at(batch, row);
  return was_found_;
}

}  // namespace deltamirror
