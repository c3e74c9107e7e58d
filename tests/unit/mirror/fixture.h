// A mirror's table in memory, for tests of what changes it.
#pragma once

#include <string>
#include <vector>

#include "sqlite/sqlite.h"
#include "store/mirrored_table.h"

struct MemoryTable {
  deltamirror::Database db{":memory:", deltamirror::Database::Mode::Create};
  deltamirror::MirroredTable table;

  // Columns as a schema line has them: NAME, "ATTNUM TYPE", all followed.
  explicit MemoryTable(std::vector<deltamirror::SourceColumn> columns, std::vector<int> key,
                       char identity = 'd') {
    table.name = "t";
    table.source_table = "public.t";
    table.shape.oid = 1;
    table.shape.line_name = "t";
    table.shape.identity = identity;
    table.shape.primary_key = std::move(key);
    table.shape.columns = std::move(columns);
    for (const deltamirror::SourceColumn& column : table.shape.columns) {
      table.columns.push_back({.attnum = column.attnum,
                               .name = column.name,
                               .type = deltamirror::TypeNames().resolve(column.type).value(),
                               .type_override = {}});
    }
    db.exec(create_table_sql(table, table.name));
  }

  // All rows, `a|b` each, sorted.
  std::vector<std::string> rows() const {
    std::string list;
    for (const deltamirror::MirrorColumn& column : table.columns) {
      if (!list.empty()) list += " || '|' || ";
      list += "coalesce(" + deltamirror::quote_name(column.name) + ", 'NULL')";
    }
    std::vector<std::string> out;
    deltamirror::Statement select = db.prepare("SELECT " + list + " FROM " +
                                               deltamirror::quote_name(table.name) + " ORDER BY 1");
    while (select.step()) out.push_back(select.text(0));
    return out;
  }
};

// As many columns as PostgreSQL lets a table have: c1, an integer, and texts.
inline std::vector<deltamirror::SourceColumn> widest_columns() {
  std::vector<deltamirror::SourceColumn> columns = {{1, "c1", "integer", false}};
  for (int i = 2; i <= 1600; ++i) columns.push_back({i, "c" + std::to_string(i), "text", false});
  return columns;
}
