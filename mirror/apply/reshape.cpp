#include "apply/reshape.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apply/needs_reseed.h"
#include "filter/row_filter.h"
#include "store/names.h"

namespace deltamirror {

using daystream::NeedsPerson;

namespace {

// `value` as a literal of SQL, for a DEFAULT or a SELECT.
std::string literal(const Value& value) {
  switch (value.type) {
    case Value::Type::Null:
      return "NULL";
    case Value::Type::Integer:
      return std::to_string(value.integer);
    case Value::Type::Real:
      if (value.real > 1.7976931348623157e308) return "9e999";
      if (value.real < -1.7976931348623157e308) return "-9e999";
      return fmt::format("{:.17e}", value.real);
    case Value::Type::Text:
      return quote_text(value.bytes);
    case Value::Type::Blob: {
      std::string out = "x'";
      for (const char c : value.bytes) {
        fmt::format_to(std::back_inserter(out), "{:02x}", static_cast<unsigned char>(c));
      }
      return out + "'";
    }
  }
  return "NULL";
}

std::string missing_literal(const MissingValues& missing, const MirrorColumn& column) {
  for (const auto& [attnum, text] : missing) {
    if (attnum != column.attnum || !text) continue;
    std::string scratch;
    return literal(convert(column.type, *text, scratch));
  }
  return "NULL";
}

ColumnType type_of(const SourceColumn& column, const std::string& type_override,
                   const TypeNames& types, const Shape& table) {
  if (!type_override.empty()) return type_named(type_override).value_or(ColumnType{});
  const auto type = types.resolve(column.type);
  if (!type) {
    throw NeedsReseed(fmt::format("column \"{}\" of table {} has the type {}, which came after the "
                                  "seed and is not known here",
                                  column.name, table.line_name, column.type),
                      table.oid, table.line_name);
  }
  return *type;
}

// One integer spelt otherwise is not the same number: an oid above 2^31 is a negative integer.
bool is_unsigned(std::string_view type) {
  return type == "oid" || type == "xid" || type == "cid";
}

struct Plan {
  std::vector<MirrorColumn> columns;
  std::vector<std::pair<std::string, std::string>> renames;  // SQLite names, old and new
  std::vector<std::size_t> added;                            // indexes into columns
  bool dropped = false;
  bool retyped = false;
};

// A column that goes away may stand in the way of one that takes its name. (SQLite would let the
// table have both for a while, and then not read its own schema any more.)
void move_out_of_the_way(const MirroredTable& table, const Shape& now, Plan& plan) {
  int number = 0;
  for (const MirrorColumn& column : table.columns) {
    if (now.column(column.attnum) != nullptr) continue;
    const bool wanted = std::any_of(plan.renames.begin(), plan.renames.end(), [&](const auto& r) {
      return folded(r.second) == folded(column.name);
    });
    if (!wanted) continue;
    plan.renames.emplace_back(column.name, fmt::format("_deltamirror_gone_{}", number++));
  }
}

Plan plan_columns(const MirroredTable& table, const SchemaLine& line, const TypeNames& types,
                  Reshaped& result) {
  Plan plan;
  for (const MirrorColumn& column : table.columns) {
    const SourceColumn* was = table.shape.column(column.attnum);
    const SourceColumn* now = line.shape.column(column.attnum);
    if (now == nullptr) {
      plan.dropped = true;
      continue;
    }
    MirrorColumn next = column;
    if (was != nullptr && now->name != was->name && column.name == was->name) {
      next.name = now->name;
      plan.renames.emplace_back(column.name, now->name);
    }
    if (was != nullptr && now->type != was->type) {
      next.type = type_of(*now, column.type_override, types, line.shape);
      if (next.type != column.type) plan.retyped = true;
      if (next.type != column.type || is_unsigned(now->type) != is_unsigned(was->type)) {
        result.needs_rewrite = true;
      }
    }
    plan.columns.push_back(std::move(next));
  }
  if (table.all_columns) {
    for (const SourceColumn& column : line.shape.columns) {
      if (table.shape.column(column.attnum) != nullptr) continue;
      plan.added.push_back(plan.columns.size());
      plan.columns.push_back({.attnum = column.attnum,
                              .name = column.name,
                              .type = type_of(column, "", types, line.shape),
                              .type_override = {}});
    }
  }
  move_out_of_the_way(table, line.shape, plan);
  if (plan.columns.empty()) {
    throw NeedsPerson(
        fmt::format("table {} has no column left that is mirrored", line.shape.line_name),
        fmt::format("take it out of the mirror with \"deltamirror remove MIRROR --table {}\"",
                    table.name));
  }
  std::set<std::string> names;
  for (const MirrorColumn& column : plan.columns) {
    if (names.insert(folded(column.name)).second) continue;
    throw NeedsPerson(fmt::format("table {} now has two columns that SQLite would both call \"{}\"",
                                  line.shape.line_name, column.name),
                      "rename one, or seed the mirror again with a query that does");
  }
  return plan;
}

// In two steps, as two columns may have swapped names.
void rename_columns(Database& db, MirroredTable& table,
                    const std::vector<std::pair<std::string, std::string>>& renames) {
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
  for (auto& index : table.indexes) {
    for (std::string& column : index) {
      const auto found = std::find_if(renames.begin(), renames.end(),
                                      [&](const auto& r) { return r.first == column; });
      if (found != renames.end()) column = found->second;
    }
  }
}

// SQLite cannot change a key or a type in place, and drops no indexed column.
void rebuild(Database& db, const MirroredTable& from, const MirroredTable& to, const Plan& plan,
             const SchemaLine& line, Reshaped& result) {
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
  // Views that name the table must not be changed to name the temporary one.
  db.exec("PRAGMA legacy_alter_table = ON");
  db.exec(fmt::format("ALTER TABLE {} RENAME TO {}", quote_name(fresh), quote_name(to.name)));
  db.exec("PRAGMA legacy_alter_table = OFF");
  for (const std::string& sql : others) {
    try {
      db.exec(sql);
    } catch (const SqliteError& e) {
      if ((e.code() & 0xff) != SQLITE_ERROR) throw;
      result.notice += fmt::format("left out \"{}\", whose column is gone; ", sql);
    }
  }
}

// The same filter under the columns' new names and types. Of another type the values that are here
// may be chosen otherwise: right only if all rows come anew.
void rebind_filter(MirroredTable& table, const SchemaLine& line, const TypeNames& types,
                   Reshaped& result) {
  if (!table.where) return;
  try {
    auto now = std::make_shared<RowFilter>(table.where->text(line.shape), line.shape, types);
    if (!now->same_comparison(*table.where)) result.needs_rewrite = true;
    table.where = std::move(now);
  } catch (const daystream::Error& e) {
    throw NeedsPerson(fmt::format("table {} has changed: {}", line.shape.line_name, e.what()),
                      "\"deltamirror remove\" it, and seed it again with another where");
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
  Plan plan = plan_columns(table, line, types, result);
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
  Plan plan = plan_columns(table, line, types, result);
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
