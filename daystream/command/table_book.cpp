#include "table_book.h"

#include <fmt/format.h>

#include <algorithm>

#include "calendar.h"
#include "daystream/reader.h"
#include "origin.h"
#include "search.h"

namespace daystream::command {

namespace {

// "1,3": the names of these attributes.
std::vector<std::string> names_of(std::string_view numbers, std::string_view columns) {
  std::vector<std::string> names;
  while (!numbers.empty()) {
    const auto comma = numbers.find(',');
    const std::string_view number = numbers.substr(0, comma);
    std::string_view name;
    std::string_view type;
    for (FieldCursor cursor(columns); cursor.next(name, type);) {
      if (type.substr(0, type.find(' ')) == number) names.emplace_back(name);
    }
    numbers.remove_prefix(comma == std::string_view::npos ? numbers.size() : comma + 1);
  }
  return names;
}

}  // namespace

std::string_view KnownTable::type_of(std::string_view column) const noexcept {
  const auto at = std::find_if(columns.begin(), columns.end(),
                               [&](const auto& known) { return known.first == column; });
  return at == columns.end() ? std::string_view{} : std::string_view(at->second);
}

bool KnownTable::is_generated(std::string_view column) const noexcept {
  return std::find(generated.begin(), generated.end(), column) != generated.end();
}

void TableBook::learn(const Change& change) {
  KnownTable table;
  table.oid = change.oid;
  if (!change.identity.empty()) table.identity = change.identity.front();
  // Under FULL the whole row is there; the primary key, where there is one, says it shorter.
  const std::string_view numbers = table.identity == 'i' ? change.identity_key : change.primary_key;
  if (table.identity != 'n') table.key = names_of(numbers, change.columns);
  std::string_view name;
  std::string_view type;
  for (FieldCursor cursor(change.leading_fields); cursor.next(name, type);) {
    if (name == "_generated") table.generated = names_of(type, change.columns);
  }
  for (FieldCursor cursor(change.columns); cursor.next(name, type);) {
    type.remove_prefix(std::min(type.size(), type.find(' ') + 1));
    constexpr std::string_view kNotNull = " not null";
    if (type.ends_with(kNotNull)) type.remove_suffix(kNotNull.size());
    table.columns.emplace_back(name, type);
  }
  tables_.insert_or_assign(std::string(change.table), std::move(table));
}

const KnownTable* TableBook::find(std::string_view table) const {
  const auto at = tables_.find(table);
  return at == tables_.end() ? nullptr : &at->second;
}

void TableBook::look_back(const Stream& stream, Position position, std::string_view table,
                          std::string_view source) {
  const auto bounds = stream.extent();
  if (!bounds) return;
  const std::string begin = fmt::format("_table\t{}\t", table);
  const std::int64_t first = day_number(bounds->first.c);
  for (std::int64_t day = day_number(std::min(position.c, bounds->last.c)); day >= first; --day) {
    StartAfter start;
    if (day != first) start.position = {day * kSecondsPerDay - 1, UINT64_MAX};
    Reader reader(stream, start);
    bool found = false;
    while (Transaction* transaction = reader.next()) {
      const Position at = transaction->position();
      if (at > position || day_number(at.c) > day) break;
      if (!source.empty() && source_of(transaction->end()) != source) continue;
      Line line;
      while (transaction->next_line_where(find_shape, line)) {
        if (!line.body.starts_with(begin)) continue;
        const Change change = parse_change(line.body);
        if (change.action != Action::Schema) continue;
        learn(change);
        found = true;
      }
    }
    if (found) return;
  }
}

}  // namespace daystream::command
