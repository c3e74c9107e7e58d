#include "apply/reshape_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "apply/needs_reseed.h"
#include "filter/row_filter.h"
#include "model/meaning.h"
#include "model/names.h"
#include "store/number_columns.h"

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

// A column that has come to the table, as the configuration wants it; nullopt: it does not. A
// column that was dropped and is there again is wished for as before. `has`: the others.
std::optional<MirrorColumn> wished_column(const MirroredTable& table, const SourceColumn& column,
                                          const std::vector<MirrorColumn>& has) {
  const auto wish =
      table.wish.text.empty() ? nlohmann::json::object() : nlohmann::json::parse(table.wish.text);
  const auto asked = wish.value("columns", std::vector<std::string>());
  const bool named = std::find(asked.begin(), asked.end(), column.name) != asked.end();
  if (!table.choice.all_columns && !named) return std::nullopt;
  const auto text_of = [&](const char* key, const std::string& name) {
    return wish.value(key, std::map<std::string, std::string>())[name];
  };
  MirrorColumn wished{
      .attnum = column.attnum, .name = column.name, .type = {}, .type_override = {}};
  const std::string other_name = text_of("rename", column.name);
  // One that was called so before has that name, if it is still there.
  const bool taken = std::any_of(has.begin(), has.end(), [&](const MirrorColumn& other) {
    return folded(other.name) == folded(other_name);
  });
  if (!other_name.empty() && !taken) wished.name = other_name;
  wished.type_override = text_of("types", wished.name);
  return wished;
}

bool chooses_rows(const MirroredTable& table, int attnum) {
  if (!table.choice.where) return false;
  const std::vector<int>& read = table.choice.where->attnums();
  return std::find(read.begin(), read.end(), attnum) != read.end();
}

[[noreturn]] void only_a_copy_has(const Shape& table, const std::string& column) {
  throw NeedsReseed(
      fmt::format("column \"{}\" of table {} is another column now", column, table.line_name),
      table.oid, table.line_name);
}

// A column is asked for by its name, as a table is: it stays the one that was asked for while it
// is renamed, until another column has that name. Then that one is asked for, and this one only
// where the configuration has its new name, too. nullopt: it has not.
std::optional<MirrorColumn> still_wished(const MirroredTable& table, const MirrorColumn& column,
                                         const SourceColumn& was, const SourceColumn& now,
                                         const Shape& line, const std::vector<MirrorColumn>& has) {
  MirrorColumn next = column;
  const std::string& asked = column.asked.empty() ? was.name : column.asked;
  if (asked == now.name || line.column_called(asked) == nullptr) {
    next.asked = asked == now.name ? "" : asked;
    if (now.name != was.name && column.name == was.name) next.name = now.name;
    return next;
  }
  const auto own = wished_column(table, now, has);
  if (chooses_rows(table, column.attnum) || !table.choice.query.empty() ||
      (own && own->type_override != column.type_override)) {
    only_a_copy_has(line, asked);
  }
  if (!own) return std::nullopt;
  next.asked.clear();
  next.name = own->name;
  return next;
}

// Whether values that are there read otherwise from here on, and why.
void take_meaning(const MirroredTable& table, const SchemaLine& line, const SourceColumn& was,
                  const SourceColumn& now, bool other_storage, Reshaped& result) {
  std::string what = other_meaning(was, table.facts, now, line.facts);
  if (what.empty() && other_storage)
    what = fmt::format("of type {}, it is now {}", was.type, now.type);
  if (what.empty()) return;
  result.needs_rewrite = true;
  result.meaning = fmt::format("column \"{}\": {}", now.name, what);
}

// PostgreSQL rewrites no row when a numeric may have more digits than it could; ours become text
// then, with as many digits behind the point as they all had. nullopt: it is no such change.
std::optional<int> kept_scale(const ColumnType& was, const ColumnType& now, const TypeNames& types,
                              const std::string& was_type) {
  const bool number =
      was == ColumnType{.kind = Kind::Real} || was == ColumnType{.kind = Kind::Whole};
  if (!number || now != ColumnType{.kind = Kind::Decimal}) return std::nullopt;
  return types.scale(was_type);
}

// A column that goes away may stand in the way of one that takes its name. (SQLite would let the
// table have both for a while, and then not read its own schema any more.)
void move_out_of_the_way(const MirroredTable& table, ColumnPlan& plan) {
  int number = 0;
  for (const MirrorColumn& column : table.columns) {
    if (column_of(plan.columns, column.attnum) != nullptr) continue;
    const bool wanted = std::any_of(plan.renames.begin(), plan.renames.end(), [&](const auto& r) {
      return folded(r.second) == folded(column.name);
    });
    if (!wanted) continue;
    plan.renames.emplace_back(column.name, fmt::format("_deltamirror_gone_{}", number++));
  }
}

// A column that the mirror has, as it goes on.
void keep_column(const MirroredTable& table, const MirrorColumn& column, const SchemaLine& line,
                 const TypeNames& types, ColumnPlan& plan, Reshaped& result) {
  const SourceColumn* was = table.shape.column(column.attnum);
  const SourceColumn* now = line.shape.column(column.attnum);
  std::optional<MirrorColumn> next;
  if (now != nullptr) {
    next =
        was == nullptr ? column : still_wished(table, column, *was, *now, line.shape, plan.columns);
  }
  if (!next) {
    plan.dropped = true;
    return;
  }
  if (next->name != column.name) plan.renames.emplace_back(column.name, next->name);
  if (was != nullptr) {
    if (now->type != was->type || now->type_oid != was->type_oid) {
      next->type = type_of(*now, column.type_override, types, line.shape);
      if (next->type != column.type) plan.retyped = true;
    }
    const auto scale = kept_scale(column.type, next->type, types, was->type);
    if (scale) plan.to_decimal[column.attnum] = *scale;
    take_meaning(table, line, *was, *now, next->type != column.type && !scale, result);
  }
  plan.columns.push_back(std::move(*next));
}

// Those that have come to the table and are wished for.
void add_columns(const MirroredTable& table, const SchemaLine& line, const TypeNames& types,
                 ColumnPlan& plan) {
  for (const SourceColumn& column : line.shape.columns) {
    const SourceColumn* const was = table.shape.column(column.attnum);
    if (column_of(table.columns, column.attnum) != nullptr) continue;
    if (was != nullptr && was->name == column.name) continue;
    auto wished = wished_column(table, column, plan.columns);
    if (!wished) continue;
    if (was != nullptr) only_a_copy_has(line.shape, column.name);  // no line has its rows of before
    wished->type = type_of(column, wished->type_override, types, line.shape);
    plan.added.push_back(plan.columns.size());
    plan.columns.push_back(std::move(*wished));
  }
}

// Throws NeedsPerson where SQLite could have no table of these.
void check_columns(const MirroredTable& table, const SchemaLine& line, const ColumnPlan& plan) {
  if (plan.columns.size() == (table.is_shared() ? 1U : 0U)) {
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
}

}  // namespace

void rename_in_indexes(MirroredTable& table, const Renames& renames) {
  for (auto& index : table.indexes) {
    for (std::string& column : index) {
      const auto found = std::find_if(renames.begin(), renames.end(),
                                      [&](const auto& r) { return r.first == column; });
      if (found != renames.end()) column = found->second;
    }
  }
}

std::string value_now(const std::string& name, int attnum, const ColumnPlan& plan) {
  std::string quoted = quote_name(name);
  const auto scale = plan.to_decimal.find(attnum);
  if (scale == plan.to_decimal.end()) return quoted;
  return fmt::format(
      "CASE WHEN typeof({0}) IN ('real', 'integer') THEN printf('%.{1}f', {0}) ELSE {0} END",
      quoted, scale->second);
}

std::string missing_literal(const MissingValues& missing, const MirrorColumn& column) {
  for (const auto& [attnum, text] : missing) {
    if (attnum != column.attnum || !text) continue;
    std::string scratch;
    return literal(value_for(column, *text, scratch));
  }
  return "NULL";
}

ColumnPlan plan_columns(const MirroredTable& table, const SchemaLine& line, const TypeNames& types,
                        Reshaped& result) {
  ColumnPlan plan;
  for (const MirrorColumn& column : table.columns) {
    if (column.attnum == kSourceColumn) {
      plan.columns.push_back(column);
    } else {
      keep_column(table, column, line, types, plan, result);
    }
  }
  add_columns(table, line, types, plan);
  move_out_of_the_way(table, plan);
  check_columns(table, line, plan);
  return plan;
}

// The same filter under the columns' new names and types. Of another type the values that are here
// may be chosen otherwise: right only if all rows come again.
void rebind_filter(MirroredTable& table, const SchemaLine& line, const TypeNames& types,
                   Reshaped& result) {
  if (!table.choice.where) return;
  try {
    auto now = std::make_shared<RowFilter>(table.choice.where->text(line.shape), line.shape, types);
    // The columns that it reads need not be mirrored.
    for (const int attnum : now->attnums()) {
      const SourceColumn* const was = table.shape.column(attnum);
      const SourceColumn* const is = line.shape.column(attnum);
      if (was != nullptr && is != nullptr) {
        take_meaning(table, line, *was, *is, false, result);
      }
    }
    if (!now->same_comparison(*table.choice.where)) result.needs_rewrite = true;
    table.choice.where = std::move(now);
  } catch (const daystream::Error& e) {
    throw NeedsPerson(fmt::format("table {} has changed: {}", line.shape.line_name, e.what()),
                      "\"deltamirror remove\" it, and seed it again with another where");
  }
}

}  // namespace deltamirror
