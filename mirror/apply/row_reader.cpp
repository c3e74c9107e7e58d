#include "apply/row_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "daystream/line.h"

namespace deltamirror {

void Cell::keep() {
  if (value.type != Value::Type::Text && value.type != Value::Type::Blob) return;
  if (value.bytes.data() == scratch.data() || value.bytes.data() == unescaped.data()) return;
  std::string copy(value.bytes);
  unescaped = std::move(copy);
  value.bytes = unescaped;
}

RowReader::RowReader(const MirroredTable& table) : table_(table), shared_(table.is_shared()) {
  for (const SourceColumn& column : table.shape.columns) {
    std::string& raw = raw_names_.emplace_back();
    daystream::escape_to(raw, column.name);
    const MirrorColumn* const found = column_of(table.columns, column.attnum);
    targets_.push_back(found == nullptr ? -1 : static_cast<int>(found - table.columns.data()));
  }
}

// Lines name columns in the table's order, some left out: the next is nearly always right.
int RowReader::source_index(std::string_view raw_name, std::size_t& guess) const {
  for (std::size_t i = guess; i < raw_names_.size(); ++i) {
    if (raw_names_[i] == raw_name) {
      guess = i + 1;
      return static_cast<int>(i);
    }
  }
  for (std::size_t i = 0; i < std::min(guess, raw_names_.size()); ++i) {
    if (raw_names_[i] == raw_name) {
      guess = i + 1;
      return static_cast<int>(i);
    }
  }
  throw daystream::ProtocolError(
      fmt::format("a line of table {} has column \"{}\", which is in no schema line",
                  table_.shape.line_name, raw_name));
}

void RowReader::read(std::string_view columns, Row& row) {
  for (Cell& cell : row) {
    cell.present = false;
    cell.value = Value{};
  }
  if (shared_) {
    row[0].present = true;
    row[0].value = Value::of_text(table_.source);
  }
  std::size_t guess = 0;
  std::string_view name;
  std::string_view raw;
  for (daystream::FieldCursor fields{columns}; fields.next(name, raw);) {
    const int target = targets_[source_index(name, guess)];
    if (target < 0) continue;
    Cell& cell = row[target];
    cell.present = true;
    if (raw == daystream::kNull) continue;
    if (std::memchr(raw.data(), '\\', raw.size()) != nullptr) {
      cell.unescaped.clear();
      daystream::unescape_to(cell.unescaped, raw);
      raw = cell.unescaped;
    }
    cell.value = value_for(table_.columns[target], raw, cell.scratch);
  }
}

}  // namespace deltamirror
