#include "apply/line_key.h"

#include <algorithm>

#include "daystream/line.h"

namespace deltamirror {

LineKey::LineKey(const MirroredTable& table)
    : table_(table),
      key_(table.key()),
      unescaped_(key_.size()),
      scratch_(key_.size()),
      values_(key_.size()) {
  for (const int k : key_) {
    std::string& raw = raw_names_.emplace_back();
    if (table.columns[k].attnum == kSourceColumn) {
      values_[raw_names_.size() - 1] = Value::of_text(table.source);
    } else {
      daystream::escape_to(raw, table.shape.column(table.columns[k].attnum)->name);
    }
  }
}

bool LineKey::read(std::string_view columns) {
  std::size_t found = table_.is_shared() ? 1 : 0;
  std::string_view name;
  std::string_view raw;
  for (daystream::FieldCursor fields{columns}; fields.next(name, raw);) {
    const auto at = std::find(raw_names_.begin(), raw_names_.end(), name);
    if (at == raw_names_.end()) continue;
    const auto i = static_cast<std::size_t>(at - raw_names_.begin());
    unescaped_[i] = daystream::unescape(raw);
    values_[i] = value_for(table_.columns[key_[i]], unescaped_[i], scratch_[i]);
    ++found;
  }
  return found == values_.size();
}

}  // namespace deltamirror
