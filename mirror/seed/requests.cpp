#include "seed/requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "daystream/line.h"
#include "filter/row_filter.h"
#include "history/history_tables.h"
#include "store/names.h"

namespace deltamirror {

using daystream::ConfigError;

namespace {

bool same_table(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return a.empty() && b.empty();
  return parse_table_name(a) == parse_table_name(b);
}

std::map<std::string, std::string> renamed(const TableRequest& request) {
  auto out = request.rename;
  std::erase_if(out, [](const auto& pair) { return pair.first == pair.second; });
  return out;
}

std::string canonical(const std::string& where) {
  return where.empty() ? where : parse_filter(where).text();
}

}  // namespace

bool same_definition(const TableRequest& a, const TableRequest& b) {
  return same_table(a.table, b.table) && a.query == b.query && a.types == b.types &&
         a.columns == b.columns && renamed(a) == renamed(b) && a.mode == b.mode &&
         canonical(a.where) == canonical(b.where);
}

TableRequest request_for(const MirroredTable& table) {
  TableRequest request;
  if (!table.is_static()) request.table = daystream::unescape(table.shape.line_name);
  request.query = table.query;
  request.indexes = table.indexes;
  for (const MirrorColumn& column : table.columns) {
    if (!column.type_override.empty()) request.types.emplace(column.name, column.type_override);
    const SourceColumn* const source = table.shape.column(column.attnum);
    if (!table.query.empty() || source == nullptr) continue;
    if (!table.all_columns) request.columns.push_back(source->name);
    if (source->name != column.name) request.rename.emplace(source->name, column.name);
  }
  if (table.where) request.where = table.where->text(table.shape);
  request.mode = table.mode;
  request.keep_days = table.keep_days;
  request.as = shown_name(table);
  return request;
}

std::string name_for(const TableRequest& request) {
  const std::string shown =
      request.as.empty() ? default_mirror_name(parse_table_name(request.table)) : request.as;
  return request.mode == TableMode::Mirror ? shown : base_name(shown);
}

const MirroredTable& find_table(const std::vector<MirroredTable>& tables, const std::string& name) {
  for (const MirroredTable& table : tables) {
    if (table.name == name || shown_name(table) == name) return table;
  }
  for (const MirroredTable& table : tables) {
    if (table.is_static()) continue;
    if (same_table(daystream::unescape(table.shape.line_name), name)) return table;
  }
  throw ConfigError(fmt::format("the mirror has no table \"{}\"", name),
                    "\"deltamirror status\" names those it has");
}

ConfigChange compare(const std::vector<MirroredTable>& tables, const MirrorConfig& config) {
  ConfigChange change;
  std::map<std::string, const MirroredTable*> there;
  for (const MirroredTable& table : tables) there.emplace(folded(table.name), &table);
  for (const TableRequest& wanted : config.tables) {
    const auto found = there.find(folded(name_for(wanted)));
    if (found == there.end()) {
      change.add.push_back(wanted);
      continue;
    }
    const MirroredTable& has = *found->second;
    there.erase(found);
    if (!same_definition(request_for(has), wanted)) {
      change.add.push_back(wanted);
    } else if (has.indexes != wanted.indexes || has.keep_days != wanted.keep_days) {
      change.reindex.push_back(wanted);
    }
  }
  for (const auto& [name, table] : there) change.remove.push_back(table->name);
  return change;
}

void check_distinct(const std::vector<MirroredTable>& tables,
                    const std::vector<TableRequest>& wanted) {
  std::map<std::string, std::string> by_name;    // in the mirror → source
  std::map<std::string, std::string> by_source;  // in PostgreSQL → name in the mirror
  const auto add = [&](const std::string& name, const std::string& source, bool replaces) {
    check_mirror_name(name);
    const std::string key = folded(name);
    if (replaces) {
      const auto old = by_name.find(key);
      if (old != by_name.end()) by_source.erase(old->second);
    } else if (by_name.contains(key)) {
      throw ConfigError(fmt::format("two tables would be called \"{}\" in the mirror", name),
                        "give one another name with --as or \"as\"");
    }
    by_name[key] = source;
    if (source.empty()) return;
    const auto [other, is_new] = by_source.emplace(source, name);
    if (is_new) return;
    throw ConfigError(fmt::format("table {} would be followed twice, as \"{}\" and \"{}\"", source,
                                  other->second, name),
                      "one mirror follows a table once: make a SQLite view, or a second mirror");
  };
  const auto source_of = [](const std::string& table) {
    return table.empty() ? std::string() : parse_table_name(table).sql();
  };
  for (const MirroredTable& table : tables) {
    add(table.name, table.is_static() ? "" : source_of(daystream::unescape(table.shape.line_name)),
        false);
    if (table.mode != TableMode::Mirror) add(shown_name(table), "", false);
  }
  std::set<std::string> asked;
  for (const TableRequest& request : wanted) {
    const std::string name = name_for(request);
    add(name, source_of(request.table), asked.insert(folded(name)).second);
    if (request.mode == TableMode::Mirror) continue;
    const std::string shown = shown_name(name);
    add(shown, "", asked.insert(folded(shown)).second);
  }
}

void run_extra_sql(Database& db, const std::vector<std::string>& sqls) {
  db.exec("CREATE TABLE IF NOT EXISTS _deltamirror_extra_sql(sql TEXT PRIMARY KEY) WITHOUT ROWID");
  Statement insert = db.prepare("INSERT OR IGNORE INTO _deltamirror_extra_sql VALUES(?)");
  for (std::size_t i = 0; i < sqls.size(); ++i) {
    insert.bind(1, sqls[i]);
    insert.run();
    if (db.changes() == 0) continue;
    try {
      db.exec(sqls[i]);
    } catch (const SqliteError& e) {
      throw ConfigError(fmt::format("extra_sql[{}]: {}", i, e.what()));
    }
  }
}

}  // namespace deltamirror
