#include "apply/tracked_tables.h"

#include <algorithm>
#include <utility>

#include "daystream/line.h"

namespace deltamirror {

QualifiedName name_now(const MirroredTable& table) {
  return parse_table_name(daystream::unescape(table.shape.line_name));
}

TrackedTable& TrackedTables::add(std::unique_ptr<TrackedTable> table) {
  TrackedTable& added = *table;
  by_line_name_.insert_or_assign(added.table.shape.line_name, &added);
  forget_last();
  tables_.push_back(std::move(table));
  return added;
}

std::unique_ptr<TrackedTable> TrackedTables::remove(TrackedTable& table) {
  table.drop_plan();
  // By whatever name: a line that tells of another one may be what it cannot be followed through.
  std::erase_if(by_line_name_, [&](const auto& named) { return named.second == &table; });
  forget_last();
  const auto found = std::find_if(tables_.begin(), tables_.end(),
                                  [&](const auto& each) { return each.get() == &table; });
  std::unique_ptr<TrackedTable> removed = std::move(*found);
  tables_.erase(found);
  return removed;
}

void TrackedTables::renamed(TrackedTable& table, const std::string& before) {
  const auto found = by_line_name_.find(before);
  if (found != by_line_name_.end() && found->second == &table) by_line_name_.erase(found);
  by_line_name_.insert_or_assign(table.table.shape.line_name, &table);
  forget_last();
}

void TrackedTables::forget_last() noexcept {
  last_name_.clear();
  last_ = nullptr;
}

TrackedTable* TrackedTables::by_line_name(std::string_view raw) {
  if (raw == last_name_) return last_;
  const auto found = by_line_name_.find(raw);
  last_name_ = raw;
  last_ = found == by_line_name_.end() ? nullptr : found->second;
  return last_;
}

TrackedTable* TrackedTables::by_oid(std::uint32_t oid) noexcept {
  for (const auto& each : tables_) {
    if (each->table.shape.oid == oid) return each.get();
  }
  return nullptr;
}

TrackedTable* TrackedTables::by_name(std::string_view name) noexcept {
  for (const auto& each : tables_) {
    if (each->table.name == name) return each.get();
  }
  return nullptr;
}

}  // namespace deltamirror
