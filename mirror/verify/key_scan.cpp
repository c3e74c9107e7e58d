#include "verify/key_scan.h"

#include <fmt/format.h>

#include <cstring>

#include "store/shared_table.h"

namespace deltamirror {

// -0.0 comes back as 0.0.
//
// The value itself, rather than each of its parts by sqlite3_column_…(): that is a third of the
// work, and allowed as our connections have no mutex, each being used by one thread.
bool stores(const Statement& row, int column, const Value& value) {
  sqlite3_value* const stored = sqlite3_column_value(row.raw(), column);
  const int type = sqlite3_value_type(stored);
  switch (value.type) {
    case Value::Type::Null:
      return type == SQLITE_NULL;
    case Value::Type::Integer:
      return type == SQLITE_INTEGER && sqlite3_value_int64(stored) == value.integer;
    case Value::Type::Real:
      return type == SQLITE_FLOAT && sqlite3_value_double(stored) == value.real;
    case Value::Type::Text:
    case Value::Type::Blob: {
      if (type != (value.type == Value::Type::Text ? SQLITE_TEXT : SQLITE_BLOB)) return false;
      const void* const bytes = sqlite3_value_blob(stored);
      const auto size = static_cast<std::size_t>(sqlite3_value_bytes(stored));
      return size == value.bytes.size() &&
             (size == 0 || std::memcmp(bytes, value.bytes.data(), size) == 0);
    }
  }
  return false;
}

KeyScan::KeyScan(Database& db, const MirroredTable& table) : key_(table.key()) {
  const std::string key = key_list(table);
  const std::string select =
      fmt::format("SELECT {} FROM {}", column_list(table), quote_name(table.name));
  const std::string own = where_own(table);
  all_ = db.prepare(fmt::format("{}{} ORDER BY {}", select, own, key));
  from_ = db.prepare(fmt::format("{}{} ({}) >= ({}) ORDER BY {}", select,
                                 own.empty() ? " WHERE" : own + " AND", key,
                                 question_marks(key_.size()), key));
}

void KeyScan::reset() {
  all_.reset();
  from_.reset();
  at_ = &from_;
  on_row_ = can_step_ = unbroken_ = false;
}

bool KeyScan::is_at(const RowBatch& batch, std::size_t row) const {
  for (const int k : key_) {
    if (!stores(*at_, k, batch.value(row, static_cast<std::size_t>(k)))) return false;
  }
  return true;
}

// A statement that has come to its end must not be stepped again: it would begin again.
bool KeyScan::step() {
  if (can_step_) can_step_ = at_->step();
  return can_step_;
}

bool KeyScan::find(const RowBatch& batch, std::size_t row) {
  if (was_found_) on_row_ = step();
  was_found_ = on_row_ && is_at(batch, row);
  if (was_found_) return true;
  reset();
  // Copied: the statement goes on longer than the batch lives.
  int index = 1;
  for (const int k : key_) {
    batch.value(row, static_cast<std::size_t>(k)).copy_to(from_, index++);
  }
  can_step_ = true;
  on_row_ = step();
  was_found_ = on_row_ && is_at(batch, row);
  return was_found_;
}

bool KeyScan::found_all() {
  return unbroken_ && was_found_ && !step();
}

}  // namespace deltamirror
