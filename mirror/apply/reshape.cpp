#include "apply/reshape.h"

#include <fmt/format.h>

#include <algorithm>

#include "apply/reshape_plan.h"

namespace deltamirror {

using daystream::NeedsPerson;

namespace {

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

// SQLite cannot change a key or a type in place, and drops no indexed column.
void rebuild(Database& db, const MirroredTable& from, const MirroredTable& to,
             const ColumnPlan& plan, const SchemaLine& line, Reshaped& result) {
  std::vector<std::string> others;
  {
    Statement select = db.prepare(
        "SELECT sql FROM sqlite_schema WHERE tbl_name = ? COLLATE NOCASE AND "
        "type IN ('index', 'trigger') AND sql IS NOT NULL");
    select.bind(1, to.name);
    while (select.step()) others.push_back(select.text(0));
  }
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
      values += added ? missing_literal(line.missing, column) : quote_name(column.name);
    }
    db.exec(fmt::format("INSERT INTO {}({}) SELECT {} FROM {}", quote_name(fresh), names, values,
                        quote_name(to.name)));
  }
  db.exec("DROP TABLE " + quote_name(from.name));
  rename_table(db, fresh, to.name);
  for (const std::string& sql : others) {
    try {
      db.exec(sql);
    } catch (const SqliteError& e) {
      if ((e.code() & 0xff) != SQLITE_ERROR) throw;
      result.notice += fmt::format("left out \"{}\", whose column is gone; ", sql);
    }
  }
}

}  // namespace

// With a schema that may be written to, SQLite rewrites the views that it understands and lets the
// others be; otherwise it refuses.
void alter_table(Database& db, const std::string& sql) {
  db.exec("PRAGMA writable_schema = ON");
  const struct Off {
    Database& db;
    ~Off() { sqlite3_exec(db.raw(), "PRAGMA writable_schema = OFF", nullptr, nullptr, nullptr); }
  } off{db};
  db.exec(sql);
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
  table.columns = std::move(plan.columns);
  table.shape = line.shape;
  result.needs_rewrite = false;  // what was written before stays as it was
  if (table.mode == TableMode::LatestPerDay && key_names(table) != key) {
    throw NeedsPerson(fmt::format("table {} has another key now, by which its days cannot be told",
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
  rename_columns(db, table, plan.renames);
  table.columns = plan.columns;
  table.shape = line.shape;

  const auto key_attnums = [](const MirroredTable& t) {
    std::vector<int> out;
    for (const int k : t.key()) out.push_back(t.columns[k].attnum);
    return out;
  };
  if (plan.dropped || plan.retyped || key_attnums(before) != key_attnums(table)) {
    if (plan.dropped) {
      std::erase_if(table.indexes, [&](const std::vector<std::string>& index) {
        return std::any_of(index.begin(), index.end(), [&](const std::string& name) {
          return std::none_of(table.columns.begin(), table.columns.end(),
                              [&](const MirrorColumn& c) { return c.name == name; });
        });
      });
    }
    rebuild(db, before, table, plan, line, result);
    return result;
  }
  for (const std::size_t i : plan.added) {
    const MirrorColumn& column = table.columns[i];
    // The default serves the rows that are there; our INSERTs name every column.
    alter_table(db, fmt::format("ALTER TABLE {} ADD COLUMN {} {} DEFAULT {}",
                                quote_name(table.name), quote_name(column.name),
                                column.type.declared(), missing_literal(line.missing, column)));
  }
  return result;
}

}  // namespace deltamirror
