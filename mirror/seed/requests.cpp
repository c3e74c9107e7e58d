#include "seed/requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "daystream/line.h"
#include "store/names.h"

namespace deltamirror {

using daystream::ConfigError;

namespace {

bool same_table(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return a.empty() && b.empty();
  return parse_table_name(a) == parse_table_name(b);
}

// All but the indexes.
bool same_definition(const TableRequest& a, const TableRequest& b) {
  return same_table(a.table, b.table) && a.query == b.query && a.types == b.types;
}

}  // namespace

TableRequest request_for(const MirroredTable& table) {
  TableRequest request;
  if (!table.is_static()) request.table = daystream::unescape(table.shape.line_name);
  request.query = table.query;
  request.as = table.name;
  request.indexes = table.indexes;
  for (const MirrorColumn& column : table.columns) {
    if (!column.type_override.empty()) request.types.emplace(column.name, column.type_override);
  }
  return request;
}

std::string name_for(const TableRequest& request) {
  return request.as.empty() ? default_mirror_name(parse_table_name(request.table)) : request.as;
}

const MirroredTable& find_table(const std::vector<MirroredTable>& tables, const std::string& name) {
  for (const MirroredTable& table : tables) {
    if (table.name == name) return table;
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
    } else if (has.indexes != wanted.indexes) {
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
  }
  std::set<std::string> asked;
  for (const TableRequest& request : wanted) {
    const std::string name = name_for(request);
    add(name, source_of(request.table), asked.insert(folded(name)).second);
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
