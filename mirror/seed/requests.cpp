#include "seed/requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "daystream/line.h"
#include "filter/row_filter.h"
#include "history/history_tables.h"
#include "model/names.h"
#include "program/quoted.h"
#include "store/checkpoint.h"

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

[[noreturn]] void collision(const std::string& name, const std::string& a, const std::string& b) {
  if (a == b) {
    throw ConfigError(fmt::format("two tables would be called \"{}\" in the mirror", name),
                      "give one another name with --as or \"as\"");
  }
  throw ConfigError(
      fmt::format("sources \"{}\" and \"{}\" would both have a table \"{}\" in the mirror", a, b,
                  name),
      "give them a \"prefix\" each, to keep the tables apart, or the same \"source_column\", to "
      "have their rows in one table");
}

}  // namespace

std::vector<QualifiedName> table_names_of(const std::vector<TableRequest>& requests) {
  std::vector<QualifiedName> names;
  for (const TableRequest& request : requests) {
    if (request.table.empty()) continue;
    try {
      names.push_back(parse_table_name(request.table));
    } catch (const daystream::ConfigError&) {
      // Who looks at the request itself says so, of this table.
    }
  }
  return names;
}

bool same_definition(const TableRequest& a, const TableRequest& b) {
  return same_table(a.table, b.table) && a.query == b.query && a.types == b.types &&
         a.columns == b.columns && renamed(a) == renamed(b) && a.mode == b.mode &&
         canonical(a.where) == canonical(b.where) && a.source_column == b.source_column;
}

TableRequest request_for(const MirroredTable& table) {
  TableRequest request;
  if (!table.is_static()) request.table = daystream::unescape(table.shape.line_name);
  request.query = table.choice.query;
  request.indexes = table.indexes;
  for (const MirrorColumn& column : table.columns) {
    if (column.attnum == kSourceColumn) continue;
    if (!column.type_override.empty()) request.types.emplace(column.name, column.type_override);
    const SourceColumn* const source = table.shape.column(column.attnum);
    if (!table.choice.query.empty() || source == nullptr) continue;
    if (!table.choice.all_columns) request.columns.push_back(source->name);
    if (source->name != column.name) request.rename.emplace(source->name, column.name);
  }
  if (table.choice.where) request.where = table.choice.where->text(table.shape);
  request.mode = table.mode;
  request.keep_days = table.kept.days;
  request.as = shown_name(table);
  request.source = table.source;
  request.prefix = table.wish.prefix;
  request.source_column = table.source_column;
  return request;
}

TableRequest wish_of(const MirroredTable& table) {
  return table.wish.text.empty() ? request_for(table) : parse_wish(table.wish.text);
}

MirroredTable asked_table(const TableRequest& request) {
  MirroredTable table;
  table.source = request.source;
  table.source_column = request.source_column;
  table.name = name_for(request);
  table.indexes = request.indexes;
  table.choice.query = request.query;
  table.mode = request.mode;
  table.kept.days = request.keep_days;
  table.wish = {.text = wish_text(request), .name = table.name, .prefix = request.prefix};
  if (!request.table.empty()) table.wish.table = parse_table_name(request.table);
  return table;
}

MirroredTable absent_table(const TableRequest& request) {
  MirroredTable table = asked_table(request);
  table.source_table = table.wish.table.display();
  table.standing = {.state = TableState::Copying, .since = timestamp_now(), .hidden = true};
  return table;
}

std::string shown_name_for(const TableRequest& request) {
  return request.as.empty() ? request.prefix + default_mirror_name(parse_table_name(request.table))
                            : request.as;
}

std::string name_for(const TableRequest& request) {
  const std::string shown = shown_name_for(request);
  return request.mode == TableMode::Mirror ? shown : base_name(shown);
}

std::vector<const MirroredTable*> find_tables(const std::vector<MirroredTable>& tables,
                                              const std::string& name) {
  std::vector<const MirroredTable*> found;
  const auto add_if = [&](const auto& is_it) {
    for (const MirroredTable& table : tables) {
      if (is_it(table)) found.push_back(&table);
    }
    return !found.empty();
  };
  const bool here = add_if([&](const MirroredTable& table) {
    return table.name == name || shown_name(table) == name || table.wish.name == name;
  });
  if (here || add_if([&](const MirroredTable& table) {
        return !table.is_static() && table.wish.table == parse_table_name(name);
      })) {
    return found;
  }
  throw ConfigError(fmt::format("the mirror has no table {}", daystream::program::in_quotes(name)),
                    "\"deltamirror status\" names those it has");
}

const MirroredTable& find_table(const std::vector<MirroredTable>& tables, const std::string& name) {
  return *find_tables(tables, name).front();
}

const MirroredTable* wished_as(const std::vector<MirroredTable>& tables, const std::string& name) {
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const MirroredTable& table) {
    return table.wish.name == name;
  });
  return found == tables.end() ? nullptr : &*found;
}

ConfigChange compare(const std::vector<MirroredTable>& tables, const MirrorConfig& config) {
  ConfigChange change;
  std::map<std::string, const MirroredTable*> there;
  for (const MirroredTable& table : tables) there.emplace(folded(table.wish.name), &table);
  for (const TableRequest& wanted : config.tables) {
    const auto found = there.find(folded(name_for(wanted)));
    if (found == there.end()) {
      change.add.push_back(wanted);
      continue;
    }
    const MirroredTable& has = *found->second;
    there.erase(found);
    const TableRequest wish = wish_of(has);
    if (!same_definition(wish, wanted)) {
      change.add.push_back(wanted);
    } else if (wish.indexes != wanted.indexes || has.kept.days != wanted.keep_days) {
      change.reindex.push_back(wanted);
    }
  }
  for (const auto& [name, table] : there) change.remove.push_back(table->name);
  return change;
}

bool are_all_there(const std::vector<MirroredTable>& tables) {
  return std::all_of(tables.begin(), tables.end(), [](const MirroredTable& table) {
    return table.is_followed() || table.is_static();
  });
}

void check_distinct(const std::vector<MirroredTable>& tables,
                    const std::vector<TableRequest>& wanted) {
  struct Named {
    std::string table;  // in PostgreSQL, with its source
    std::string source;
    std::string source_column;
  };
  std::multimap<std::string, Named> by_name;    // in the mirror; several where they share it
  std::map<std::string, std::string> by_table;  // in PostgreSQL → name in the mirror
  const auto add = [&](const std::string& name, const std::string& table, bool replaces,
                       const std::string& source, const std::string& source_column) {
    check_mirror_name(name);
    const std::string key = folded(name);
    const auto [first, last] = by_name.equal_range(key);
    for (auto other = first; other != last;) {
      if (other->second.source == source && replaces) {
        by_table.erase(other->second.table);
        other = by_name.erase(other);
        continue;
      }
      const bool shared = other->second.source != source && !source_column.empty() &&
                          other->second.source_column == source_column;
      if (!shared) collision(name, other->second.source, source);
      ++other;
    }
    const std::string whose = table.empty() ? table : source + " " + table;
    by_name.emplace(key, Named{whose, source, source_column});
    if (table.empty()) return;
    const auto [other, is_new] = by_table.emplace(whose, name);
    if (is_new) return;
    throw ConfigError(fmt::format("table {} would be followed twice, as \"{}\" and \"{}\"", table,
                                  other->second, name),
                      "one mirror follows a table once: make a SQLite view, or a second mirror");
  };
  const auto source_of = [](const std::string& table) {
    return table.empty() ? std::string() : parse_table_name(table).sql();
  };
  for (const MirroredTable& table : tables) {
    add(table.wish.name, table.is_static() ? "" : table.wish.table.sql(), false, table.source,
        table.source_column);
    if (table.mode != TableMode::Mirror) add(shown_name(table), "", false, table.source, "");
  }
  std::set<std::pair<std::string, std::string>> asked;  // source, name
  for (const TableRequest& request : wanted) {
    const std::string name = name_for(request);
    add(name, source_of(request.table), asked.emplace(request.source, folded(name)).second,
        request.source, request.source_column);
    if (request.mode == TableMode::Mirror) continue;
    const std::string shown = shown_name(name);
    add(shown, "", asked.emplace(request.source, folded(shown)).second, request.source, "");
  }
}

namespace {

// Of the tables that the mirror keeps, its own among them: what SQLite has as their SQL.
std::map<std::string, std::string> table_definitions(const Database& db) {
  std::map<std::string, std::string> found;
  Statement all = db.prepare(
      "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND (name GLOB '_deltamirror_*' "
      "OR name IN (SELECT name FROM _deltamirror_tables))");
  while (all.step()) found.emplace(all.text(0), all.text(1));
  return found;
}

void check_unchanged(const std::map<std::string, std::string>& before,
                     const std::map<std::string, std::string>& after, std::size_t index) {
  for (const auto& [name, sql] : before) {
    const auto now = after.find(name);
    if (now != after.end() && now->second == sql) continue;
    throw ConfigError(
        fmt::format("extra_sql[{}] {} table \"{}\", which the mirror keeps", index,
                    now == after.end() ? "removes" : "changes", name),
        "make views, indexes, triggers and tables of your own beside it; \"columns\" and "
        "\"rename\" say which columns a mirrored table has");
  }
}

}  // namespace

void run_extra_sql(Database& db, const std::vector<std::string>& sqls) {
  db.exec("CREATE TABLE IF NOT EXISTS _deltamirror_extra_sql(sql TEXT PRIMARY KEY) WITHOUT ROWID");
  Statement insert = db.prepare("INSERT OR IGNORE INTO _deltamirror_extra_sql VALUES(?)");
  for (std::size_t i = 0; i < sqls.size(); ++i) {
    insert.bind(1, sqls[i]);
    insert.run();
    if (db.changes() == 0) continue;
    const std::map<std::string, std::string> before = table_definitions(db);
    try {
      db.exec(sqls[i]);
    } catch (const SqliteError& e) {
      throw ConfigError(fmt::format("extra_sql[{}]: {}", i, e.what()),
                        "it is SQLite's SQL: try it with sqlite3 on a copy of the mirror");
    }
    check_unchanged(before, table_definitions(db), i);
  }
}

}  // namespace deltamirror
