#include "store/shared_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "daystream/error.h"
#include "model/joined.h"
#include "model/names.h"
#include "store/number_columns.h"

namespace deltamirror {

namespace {

[[noreturn]] void not_shareable(const MirroredTable& there, const MirroredTable& table,
                                const std::string& why) {
  throw daystream::NeedsPerson(
      fmt::format("table \"{}\" of source \"{}\" does not fit that of source \"{}\": {}",
                  table.name, table.source, there.source, why),
      "make them equal, or keep them apart: without \"source_column\", with a \"prefix\"");
}

std::string described(const MirroredTable& table, int column) {
  const MirrorColumn& c = table.columns[static_cast<std::size_t>(column)];
  return fmt::format("{} {}", quote_name(c.name), c.type.declared());
}

std::string key_text(const MirroredTable& table) {
  const std::string out = joined(table.key(), ", ", [&](int k) { return described(table, k); });
  return out.empty() ? "none" : out;
}

bool has_column(Database& db, const std::string& table, const std::string& column) {
  Statement select = db.prepare("SELECT 1 FROM pragma_table_info(?) WHERE name = ? COLLATE NOCASE");
  select.bind(1, table);
  select.bind(2, column);
  return select.step();
}

}  // namespace

std::vector<MirroredTable> sharing(const std::vector<MirroredTable>& tables,
                                   const MirroredTable& table) {
  std::vector<MirroredTable> out;
  for (const MirroredTable& other : tables) {
    if (other.hidden || other.source == table.source) continue;  // it has no rows there
    if (folded(other.name) == folded(table.name)) out.push_back(other);
  }
  return out;
}

void check_shareable(const MirroredTable& there, const MirroredTable& table) {
  if (there.source_column != table.source_column) {
    not_shareable(there, table, "not both have the same \"source_column\"");
  }
  if (key_text(there) != key_text(table)) {
    not_shareable(there, table,
                  fmt::format("its key is {}, not {}", key_text(table), key_text(there)));
  }
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const MirrorColumn& column = table.columns[i];
    const auto other =
        std::find_if(there.columns.begin(), there.columns.end(),
                     [&](const MirrorColumn& c) { return folded(c.name) == folded(column.name); });
    if (other == there.columns.end() || other->type.declared() == column.type.declared()) continue;
    not_shareable(there, table,
                  fmt::format("column \"{}\" is {} here, not {}", column.name,
                              column.type.declared(), other->type.declared()));
  }
}

void make_shared(Database& db, const MirroredTable& table,
                 const std::vector<MirroredTable>& others) {
  if (!has_table(db, table.name)) {
    db.exec(create_table_sql(table, table.name));
    return;
  }
  for (const MirroredTable& other : others) check_shareable(other, table);
  for (const MirrorColumn& column : table.columns) {
    if (has_column(db, table.name, column.name)) continue;
    drop_number_column(db, table.name, column.name);  // another source's, under this name
    db.exec(fmt::format("ALTER TABLE {} ADD COLUMN {} {}", quote_name(table.name),
                        quote_name(column.name), column.type.declared()));
  }
  add_number_columns(db, table);
}

void create_missing_indexes(Database& db, const MirroredTable& table) {
  const std::vector<std::string> sqls = create_index_sql(table);
  for (std::size_t i = 0; i < sqls.size(); ++i) {
    Statement select =
        db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ? COLLATE NOCASE");
    select.bind(1, index_name(table.name, table.indexes[i]));
    if (!select.step()) db.exec(sqls[i]);
  }
}

std::string source_literal(const MirroredTable& table) {
  return fmt::format("{}::pg_catalog.text", quote_text(table.source));
}

std::string where_own(const MirroredTable& table) {
  if (!table.is_shared()) return {};
  return fmt::format(" WHERE {} = {}", quote_name(table.source_column), quote_text(table.source));
}

void drop_own(Database& db, const MirroredTable& table) {
  if (table.is_shared() && !sharing(load_tables(db), table).empty()) {
    db.exec(fmt::format("DELETE FROM {}{}", quote_name(table.name), where_own(table)));
  } else {
    db.exec("DROP TABLE " + quote_name(table.name));
  }
}

}  // namespace deltamirror
