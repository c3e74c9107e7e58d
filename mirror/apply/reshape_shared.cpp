#include <fmt/format.h>

#include <algorithm>

#include "apply/reshape_plan.h"
#include "apply/row_writer.h"
#include "model/joined.h"
#include "model/names.h"
#include "store/indexes.h"
#include "store/number_columns.h"
#include "store/shared_table.h"

namespace deltamirror {

namespace {

bool is_used(const std::string& column, const MirroredTable& now,
             const std::vector<MirroredTable>& others) {
  return has_column(now, column) ||
         std::any_of(others.begin(), others.end(),
                     [&](const MirroredTable& other) { return has_column(other, column); });
}

// The number columns that no source has any more. They go first, as they read columns that go.
void drop_unused_numbers(Database& db, const MirroredTable& before, MirroredTable& now,
                         const std::vector<MirroredTable>& others, Reshaped& result) {
  for (const NumberColumn& column : number_columns(before)) {
    if (is_used(column.name, now, others)) continue;
    set_aside(now, drop_number_column(db, before, column.name), result);
  }
}

// What its own rows have from here on where that is not what the column of that name had: what was
// renamed moves, what was added has what rows from before have, what is gone is NULL.
OwnValues own_values(const MirroredTable& before, const MirroredTable& now, const ColumnPlan& plan,
                     const SchemaLine& line) {
  OwnValues out;
  for (std::size_t i = 0; i < now.columns.size(); ++i) {
    const MirrorColumn& column = now.columns[i];
    if (std::find(plan.added.begin(), plan.added.end(), i) != plan.added.end()) {
      const std::string value = missing_literal(line.missing, column);
      if (value != "NULL" || has_column(before, column.name)) out.emplace(column.name, value);
      continue;
    }
    const MirrorColumn* const was = column_of(before.columns, column.attnum);
    if (was->name == column.name && was->type.declared() == column.type.declared()) continue;
    out.emplace(column.name, value_now(was->name, was->attnum, plan));
  }
  for (const MirrorColumn& column : before.columns) {
    if (!has_column(now, column.name)) out.emplace(column.name, "NULL");
  }
  return out;
}

// The names of the table's columns that no source has any more.
std::vector<std::string> unused_columns(const MirroredTable& before, const MirroredTable& now,
                                        const std::vector<MirroredTable>& others) {
  std::vector<std::string> out;
  for (const MirrorColumn& column : before.columns) {
    if (!is_used(column.name, now, others)) out.push_back(column.name);
  }
  return out;
}

void drop_indexes_on(Database& db, const MirroredTable& before, const std::string& column) {
  for (const auto& index : before.indexes) {
    if (std::find(index.begin(), index.end(), column) == index.end()) continue;
    db.exec("DROP INDEX IF EXISTS " + quote_name(index_there(db, before, index)));
  }
}

std::string assignments(const OwnValues& values) {
  return joined(values, ", ", [](const auto& value) {
    return fmt::format("{} = {}", quote_name(value.first), value.second);
  });
}

}  // namespace

Reshaped reshape_shared(Database& db, MirroredTable& table, const SchemaLine& line,
                        const TypeNames& types, std::vector<MirroredTable> others) {
  Reshaped result;
  ColumnPlan plan = plan_columns(table, line, types, result);
  MirroredTable now = table;
  rebind_filter(now, line, types, result);
  now.columns = plan.columns;
  now.shape = line.shape;
  // Before anything changes.
  check_identity(now);
  check_fits(others, now);
  others = make_room(db, now, std::move(others));
  // With nobody else the table itself may change. What others have had there has no rows any more,
  // and may have a name that a column takes now.
  if (others.empty() && (plan.retyped || key_list(now) != key_list(table))) {
    IndexColumns of_others;
    for (const MirroredTable& other : wished_beside(load_tables(db), table)) {
      of_others.insert(of_others.end(), other.indexes.begin(), other.indexes.end());
    }
    const std::string stay = drop_unused_columns(db, {table}, of_others);
    result = reshape(db, table, line, types);
    result.notice = stay + result.notice;
    return result;
  }
  if (result.needs_rewrite && !db.value(fmt::format("SELECT 1 FROM {}{} LIMIT 1",
                                                    quote_name(table.name), where_own(table)))) {
    result.needs_rewrite = false;
  }
  drop_unused_numbers(db, table, now, others, result);
  const std::vector<std::string> unused = unused_columns(table, now, others);
  for (const std::string& column : unused) drop_indexes_on(db, table, column);
  const OwnValues values = own_values(table, now, plan, line);
  if (make_shared(db, now, others, values) == MadeShared::AsItIs) {
    if (!values.empty()) {
      db.exec(fmt::format("UPDATE {} SET {}{}", quote_name(now.name), assignments(values),
                          where_own(now)));
    }
    std::vector<MirroredTable> having = wished_beside(load_tables(db), now);
    having.insert(having.begin(), now);
    result.notice += drop_unused_columns(db, having, table.indexes);
  }
  settle_indexes(db, now, table.indexes, others);
  table = std::move(now);
  return result;
}

}  // namespace deltamirror
