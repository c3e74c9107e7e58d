#include <fmt/format.h>

#include <algorithm>

#include "apply/reshape_plan.h"
#include "model/names.h"
#include "store/number_columns.h"
#include "store/shared_table.h"

namespace deltamirror {

namespace {

// The number columns that no source has any more. They go first, as they read columns that go.
void drop_unused_numbers(Database& db, const MirroredTable& before, const MirroredTable& now,
                         const std::vector<MirroredTable>& others) {
  for (const NumberColumn& column : number_columns(before)) {
    const bool used = has_column(now, column.name) ||
                      std::any_of(others.begin(), others.end(), [&](const MirroredTable& other) {
                        return has_column(other, column.name);
                      });
    if (!used) drop_number_column(db, before.name, column.name);
  }
}

// One UPDATE of the source's rows: what was renamed moves, what was added has what rows from before
// have, what is gone is NULL. All of its right sides are the old row's.
std::string moves(const MirroredTable& before, const MirroredTable& now, const ColumnPlan& plan,
                  const SchemaLine& line) {
  std::string out;
  const auto set = [&](const std::string& column, const std::string& value) {
    out += fmt::format("{}{} = {}", out.empty() ? "" : ", ", quote_name(column), value);
  };
  for (std::size_t i = 0; i < now.columns.size(); ++i) {
    const MirrorColumn& column = now.columns[i];
    if (std::find(plan.added.begin(), plan.added.end(), i) != plan.added.end()) {
      const std::string value = missing_literal(line.missing, column);
      if (value != "NULL" || has_column(before, column.name)) set(column.name, value);
      continue;
    }
    const auto was = std::find_if(before.columns.begin(), before.columns.end(),
                                  [&](const MirrorColumn& c) { return c.attnum == column.attnum; });
    if (was->name != column.name) set(column.name, quote_name(was->name));
  }
  for (const MirrorColumn& column : before.columns) {
    if (!has_column(now, column.name)) set(column.name, "NULL");
  }
  return out;
}

// The table's columns that no source has any more. One that SQLite cannot drop, as somebody's index
// or view reads it, stays, and is NULL.
void drop_unused(Database& db, const MirroredTable& before, const MirroredTable& now,
                 const std::vector<MirroredTable>& others, Reshaped& result) {
  for (const MirrorColumn& column : before.columns) {
    const bool used = has_column(now, column.name) ||
                      std::any_of(others.begin(), others.end(), [&](const MirroredTable& other) {
                        return has_column(other, column.name);
                      });
    if (used) continue;
    for (const auto& index : before.indexes) {
      if (std::find(index.begin(), index.end(), column.name) == index.end()) continue;
      MirroredTable only = before;
      only.indexes = {index};
      db.exec("DROP INDEX IF EXISTS " + quote_name(index_name(only.name, index)));
    }
    try {
      alter_table(db, fmt::format("ALTER TABLE {} DROP COLUMN {}", quote_name(now.name),
                                  quote_name(column.name)));
    } catch (const SqliteError& e) {
      if ((e.code() & 0xff) != SQLITE_ERROR) throw;
      result.notice += fmt::format("column \"{}\" stays, empty: {}; ", column.name, e.what());
    }
  }
}

}  // namespace

Reshaped reshape_shared(Database& db, MirroredTable& table, const SchemaLine& line,
                        const TypeNames& types, const std::vector<MirroredTable>& others) {
  Reshaped result;
  ColumnPlan plan = plan_columns(table, line, types, result);
  MirroredTable now = table;
  rebind_filter(now, line, types, result);
  now.columns = plan.columns;
  now.shape = line.shape;
  // With nobody else the table itself may change.
  if (others.empty() && (plan.retyped || key_list(now) != key_list(table))) {
    return reshape(db, table, line, types);
  }
  for (const MirroredTable& other : others) check_shareable(other, now);
  if (result.needs_rewrite && !db.value(fmt::format("SELECT 1 FROM {}{} LIMIT 1",
                                                    quote_name(table.name), where_own(table)))) {
    result.needs_rewrite = false;
  }
  rename_in_indexes(now, plan.renames);
  std::erase_if(now.indexes, [&](const std::vector<std::string>& index) {
    return std::any_of(index.begin(), index.end(),
                       [&](const std::string& name) { return !has_column(now, name); });
  });
  drop_unused_numbers(db, table, now, others);
  make_shared(db, now, {});
  const std::string sets = moves(table, now, plan, line);
  if (!sets.empty()) {
    db.exec(fmt::format("UPDATE {} SET {}{}", quote_name(now.name), sets, where_own(now)));
  }
  drop_unused(db, table, now, others, result);
  create_missing_indexes(db, now);
  table = std::move(now);
  return result;
}

}  // namespace deltamirror
