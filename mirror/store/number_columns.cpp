#include "store/number_columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "model/names.h"
#include "store/indexes.h"

namespace deltamirror {

namespace {

constexpr std::string_view kNumberSuffix = "_num";

// pragma_table_xinfo's word for a generated column that is not stored.
constexpr std::string_view kVirtual = "2";

std::string hidden(Database& db, const std::string& table, const std::string& name) {
  Statement select =
      db.prepare("SELECT hidden FROM pragma_table_xinfo(?) WHERE name = ? COLLATE NOCASE");
  select.bind(1, table);
  select.bind(2, name);
  return select.step() ? select.text(0) : std::string();
}

// Which read it, in an expression, too: SQLite writes another name of the column into those.
std::vector<SchemaObject> indexes_with(Database& db, const std::string& table,
                                       const std::string& column) {
  std::vector<SchemaObject> indexes = objects_on(db, table, "index");
  if (indexes.empty()) return indexes;
  const Savepoint as_it_is(db);
  alter_table(db, fmt::format("ALTER TABLE {} RENAME COLUMN {} TO _deltamirror_read",
                              quote_name(table), quote_name(column)));
  const std::vector<SchemaObject> renamed = objects_on(db, table, "index");
  std::erase_if(indexes, [&](const SchemaObject& index) {
    return std::any_of(renamed.begin(), renamed.end(), [&](const SchemaObject& other) {
      return other.name == index.name && other.sql == index.sql;
    });
  });
  return indexes;
}

}  // namespace

std::string NumberColumn::sql() const {
  return fmt::format(
      "{0} REAL GENERATED ALWAYS AS (CASE {1} WHEN 'NaN' THEN 'NaN' WHEN 'Infinity' THEN 9e999 "
      "WHEN '-Infinity' THEN -9e999 ELSE CAST({1} AS REAL) END) VIRTUAL",
      quote_name(name), quote_name(of));
}

std::vector<NumberColumn> number_columns(const MirroredTable& table) {
  std::vector<NumberColumn> out;
  if (table.mode != TableMode::Mirror) return out;
  std::set<std::string> taken;
  for (const MirrorColumn& column : table.columns) taken.insert(folded(column.name));
  for (const MirrorColumn& column : table.columns) {
    if (column.type != ColumnType{.kind = Kind::Decimal}) continue;
    std::string name = column.name + std::string(kNumberSuffix);
    if (!taken.insert(folded(name)).second) continue;
    out.push_back({column.attnum, std::move(name), column.name});
  }
  return out;
}

bool has_column(const MirroredTable& table, const std::string& name) {
  const auto is_it = [&](const auto& column) { return folded(column.name) == folded(name); };
  const std::vector<NumberColumn> numbers = number_columns(table);
  return std::any_of(table.columns.begin(), table.columns.end(), is_it) ||
         std::any_of(numbers.begin(), numbers.end(), is_it);
}

void add_number_columns(Database& db, const MirroredTable& table) {
  for (const NumberColumn& column : number_columns(table)) {
    if (!hidden(db, table.name, column.name).empty()) continue;
    if (hidden(db, table.name, column.of).empty()) continue;
    db.exec(fmt::format("ALTER TABLE {} ADD COLUMN {}", quote_name(table.name), column.sql()));
  }
}

std::vector<std::string> number_columns_there(Database& db, const std::string& table) {
  Statement select = db.prepare(
      "SELECT n.name FROM pragma_table_xinfo(?1) n, pragma_table_xinfo(?1) of "
      "WHERE CAST(n.hidden AS TEXT) = ?2 AND of.hidden = 0 AND n.name = of.name || ?3");
  select.bind(1, table);
  select.bind(2, kVirtual);
  select.bind(3, kNumberSuffix);
  std::vector<std::string> out;
  while (select.step()) out.push_back(select.text(0));
  return out;
}

std::vector<std::string> drop_number_column(Database& db, const MirroredTable& table,
                                            const std::string& name) {
  if (hidden(db, table.name, name) != kVirtual) return {};
  const std::vector<SchemaObject> of_others = others_objects(db, table, "index");
  std::vector<std::string> gone;
  for (const auto& [index, sql] : indexes_with(db, table.name, name)) {
    const bool is_others =
        std::any_of(of_others.begin(), of_others.end(),
                    [&index = index](const SchemaObject& other) { return other.name == index; });
    if (is_others) gone.push_back(sql);
    db.exec("DROP INDEX " + quote_name(index));
  }
  alter_table(
      db, fmt::format("ALTER TABLE {} DROP COLUMN {}", quote_name(table.name), quote_name(name)));
  return gone;
}

}  // namespace deltamirror
