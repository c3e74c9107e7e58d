#include "apply/reshape.h"

#include <fmt/format.h>

#include <algorithm>

#include "apply/reshape_plan.h"
#include "store/indexes.h"
#include "store/number_columns.h"
#include "store/replace_table.h"

namespace deltamirror {

using daystream::NeedsPerson;

namespace {

std::string left_out_text(const std::string& sql) {
  return fmt::format("left out \"{}\", whose column is gone; ", sql);
}

// In two steps, as two columns may have swapped names.
void rename_columns(Database& db, MirroredTable& table, const Renames& renames) {
  const std::string name = quote_name(table.name);
  int number = 0;
  for (const auto& [from, to] : renames) {
    alter_table(db, fmt::format("ALTER TABLE {} RENAME COLUMN {} TO {}", name, quote_name(from),
                                quote_name(fmt::format("_deltamirror_renamed_{}", number++))));
  }
  number = 0;
  for (const auto& [from, to] : renames) {
    alter_table(db, fmt::format("ALTER TABLE {} RENAME COLUMN {} TO {}", name,
                                quote_name(fmt::format("_deltamirror_renamed_{}", number++)),
                                quote_name(to)));
  }
  rename_in_indexes(table, renames);
}

// The number columns of `before` that go away, or take another name, before columns do; one that
// stays is renamed with its column, and its indexes stay.
void plan_number_columns(Database& db, const MirroredTable& before, const ColumnPlan& plan,
                         Renames& renames, MirroredTable& table, Reshaped& result) {
  MirroredTable after = before;
  after.columns = plan.columns;
  const std::vector<NumberColumn> now = number_columns(after);
  for (const NumberColumn& was : number_columns(before)) {
    const auto stays = std::find_if(now.begin(), now.end(), [&](const NumberColumn& column) {
      return column.attnum == was.attnum;
    });
    if (stays == now.end()) {
      set_aside(table, drop_number_column(db, before, was.name), result);
    } else if (stays->name != was.name) {
      renames.emplace_back(was.name, stays->name);
    }
  }
}

// SQLite cannot change a key or a type in place, and drops no indexed column.
void rebuild(Database& db, MirroredTable& to, const ColumnPlan& plan, const SchemaLine& line,
             Reshaped& result) {
  const std::string fresh = "_deltamirror_new";
  db.exec(create_table_sql(to, fresh));
  // With a rewrite to come no old row counts, and its values may not even fit.
  if (!result.needs_rewrite) {
    std::string names;
    std::string values;
    for (std::size_t i = 0; i < to.columns.size(); ++i) {
      const MirrorColumn& column = to.columns[i];
      const bool added = std::find(plan.added.begin(), plan.added.end(), i) != plan.added.end();
      if (i != 0) names += ", ", values += ", ";
      names += quote_name(column.name);
      values += added ? missing_literal(line.missing, column)
                      : value_now(column.name, column.attnum, plan);
    }
    db.exec(fmt::format("INSERT INTO {}({}) SELECT {} FROM {}", quote_name(fresh), names, values,
                        quote_name(to.name)));
  }
  // Our own indexes come back by themselves.
  const std::vector<SchemaObject> of_others = others_objects(db, to);
  for (std::string& sql : replace_table(db, to.name, fresh)) {
    const bool is_others = std::any_of(of_others.begin(), of_others.end(),
                                       [&](const SchemaObject& other) { return other.sql == sql; });
    if (is_others) {
      set_aside(to, {std::move(sql)}, result);
    } else {
      result.notice += left_out_text(sql);
    }
  }
}

}  // namespace

void set_aside(MirroredTable& table, std::vector<std::string> left_out, Reshaped& result) {
  for (std::string& sql : left_out) {
    result.notice += left_out_text(sql);
    table.standing.set_aside.push_back(std::move(sql));
  }
}

Reshaped reshape_history(MirroredTable& table, const SchemaLine& line, const TypeNames& types) {
  Reshaped result;
  const auto key_names = [](const MirroredTable& t) {
    std::vector<std::string> out;
    for (const int k : t.key()) out.push_back(t.columns[k].name);
    return out;
  };
  const std::vector<std::string> key = key_names(table);
  ColumnPlan plan = plan_columns(table, line, types, result);
  for (std::size_t i = 0; i < plan.columns.size(); ++i) {
    const MirrorColumn& column = plan.columns[i];
    if (std::find(plan.added.begin(), plan.added.end(), i) != plan.added.end()) {
      result.carried.push_back({column.name, missing_literal(line.missing, column), true});
      continue;
    }
    const MirrorColumn* const was = column_of(table.columns, column.attnum);
    if (was->name != column.name) {
      result.carried.push_back({column.name, quote_name(was->name), false});
    }
  }
  table.columns = std::move(plan.columns);
  table.shape = line.shape;
  table.indexes = wished_indexes(table);  // those of the days to come
  result.needs_rewrite = false;           // what was written before stays as it was
  if (table.mode == TableMode::LatestPerDay && key_names(table) != key) {
    throw NeedsPerson(fmt::format("table {} has another key now, by which its days cannot be known",
                                  line.shape.line_name),
                      "\"deltamirror remove\" it, and seed it again");
  }
  return result;
}

Reshaped reshape(Database& db, MirroredTable& table, const SchemaLine& line,
                 const TypeNames& types) {
  Reshaped result;
  ColumnPlan plan = plan_columns(table, line, types, result);
  rebind_filter(table, line, types, result);
  // Of a table without rows no rewrite comes, and none is needed.
  if (result.needs_rewrite && !db.value("SELECT 1 FROM " + quote_name(table.name) + " LIMIT 1")) {
    result.needs_rewrite = false;
  }
  const MirroredTable before = table;
  plan_number_columns(db, before, plan, plan.renames, table, result);
  rename_columns(db, table, plan.renames);
  table.columns = plan.columns;
  table.shape = line.shape;

  const auto key_attnums = [](const MirroredTable& t) {
    std::vector<int> out;
    for (const int k : t.key()) out.push_back(t.columns[k].attnum);
    return out;
  };
  if (plan.dropped || plan.retyped || key_attnums(before) != key_attnums(table)) {
    rebuild(db, table, plan, line, result);
    settle_indexes(db, table, IndexColumns(table.indexes), {});
    return result;
  }
  add_number_columns(db, table);
  for (const std::size_t i : plan.added) {
    const MirrorColumn& column = table.columns[i];
    // The default serves the rows that are there; our INSERTs name every column.
    alter_table(db, fmt::format("ALTER TABLE {} ADD COLUMN {} {} DEFAULT {}",
                                quote_name(table.name), quote_name(column.name),
                                column.type.declared(), missing_literal(line.missing, column)));
    add_number_columns(db, table);  // its own stands beside it, as in a fresh seed
  }
  settle_indexes(db, table, IndexColumns(table.indexes), {});
  return result;
}

}  // namespace deltamirror
