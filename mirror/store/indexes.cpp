#include "store/indexes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "model/names.h"
#include "store/number_columns.h"

namespace deltamirror {

namespace {

nlohmann::json wish_json(const MirroredTable& table) {
  return table.wish.text.empty() ? nlohmann::json::object()
                                 : nlohmann::json::parse(table.wish.text);
}

// What the wish calls the column here.
std::string name_wished(const MirroredTable& table, const MirrorColumn& column,
                        const std::map<std::string, std::string>& renames) {
  if (column.asked.empty()) return column.name;
  if (const auto found = renames.find(column.asked); found != renames.end()) return found->second;
  // A query may call it otherwise than its table does.
  const SourceColumn* const source = table.shape.column(column.attnum);
  return source == nullptr || source->name == column.name ? column.asked : column.name;
}

// What is there under the names of a wish, folded.
std::map<std::string, std::string> names_by_wish(const MirroredTable& table) {
  const auto renames = wish_json(table).value("rename", std::map<std::string, std::string>());
  std::map<std::string, std::string> out;
  for (const MirrorColumn& column : table.columns) {
    out.emplace(folded(name_wished(table, column, renames)), column.name);
  }
  for (const NumberColumn& number : number_columns(table)) {
    const MirrorColumn& column = *column_of(table.columns, number.attnum);
    const std::string suffix = number.name.substr(number.of.size());
    out.emplace(folded(name_wished(table, column, renames) + suffix), number.name);
  }
  return out;
}

// By what it is on, whatever it is called: ALTER TABLE writes the names of now into what we wrote,
// in our spelling.
std::optional<std::string> find_index(const Database& db, const MirroredTable& table,
                                      const std::vector<std::string>& columns) {
  const std::string name = index_name(table.name, columns);
  const std::string sql = create_index_sql(table.name, {columns}).front();
  const std::string on = sql.substr(("CREATE INDEX " + quote_name(name)).size());
  Statement select = db.prepare(
      "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1 COLLATE NOCASE AND "
      "sql = 'CREATE INDEX \"' || replace(name, '\"', '\"\"') || '\"' || ?3 "
      "ORDER BY name = ?2 DESC, rowid LIMIT 1");
  select.bind(1, table.name);
  select.bind(2, name);
  select.bind(3, on);
  return select.step() ? std::optional(select.text(0)) : std::nullopt;
}

bool is_taken(const Database& db, const std::string& name) {
  Statement select = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = ? COLLATE NOCASE");
  select.bind(1, name);
  return select.step();
}

bool has_index(const IndexColumns& indexes, const std::vector<std::string>& columns) {
  return std::find(indexes.begin(), indexes.end(), columns) != indexes.end();
}

}  // namespace

IndexColumns indexes_now(const MirroredTable& table, const IndexColumns& wished) {
  const auto names = names_by_wish(table);
  IndexColumns out;
  for (const std::vector<std::string>& index : wished) {
    std::vector<std::string> now;
    for (const std::string& column : index) {
      const auto found = names.find(folded(column));
      if (found != names.end()) now.push_back(found->second);
    }
    if (now.size() == index.size()) out.push_back(std::move(now));
  }
  return out;
}

IndexColumns wished_indexes(const MirroredTable& table) {
  if (!table.wish.text.empty()) {
    return indexes_now(table, wish_json(table).value("indexes", IndexColumns()));
  }
  IndexColumns out = table.indexes;
  std::erase_if(out, [&](const std::vector<std::string>& index) {
    return std::any_of(index.begin(), index.end(),
                       [&](const std::string& name) { return !has_column(table, name); });
  });
  return out;
}

std::string index_there(const Database& db, const MirroredTable& table,
                        const std::vector<std::string>& columns) {
  return find_index(db, table, columns).value_or(index_name(table.name, columns));
}

std::vector<SchemaObject> others_objects(const Database& db, const MirroredTable& table,
                                         std::string_view type) {
  std::vector<SchemaObject> out = objects_on(db, table.name, type);
  for (const auto& columns : table.indexes) {
    const auto own = find_index(db, table, columns);
    if (own) std::erase_if(out, [&](const SchemaObject& object) { return object.name == *own; });
  }
  return out;
}

void create_missing_indexes(Database& db, const MirroredTable& table) {
  for (const std::vector<std::string>& columns : table.indexes) {
    if (find_index(db, table, columns)) continue;
    // An index that has the name may be on what the columns were before.
    const std::string wanted = index_name(table.name, columns);
    std::string name = wanted;
    for (int number = 2; is_taken(db, name); ++number) name = fmt::format("{}_{}", wanted, number);
    db.exec(create_index_sql(name, table.name, columns));
  }
}

void settle_indexes(Database& db, MirroredTable& table, const IndexColumns& before,
                    const std::vector<MirroredTable>& others) {
  table.indexes = wished_indexes(table);
  for (const std::vector<std::string>& columns : before) {
    const bool stays = has_index(table.indexes, columns) ||
                       std::any_of(others.begin(), others.end(), [&](const MirroredTable& other) {
                         return has_index(other.indexes, columns);
                       });
    const auto there = stays ? std::nullopt : find_index(db, table, columns);
    if (there) db.exec("DROP INDEX " + quote_name(*there));
  }
  create_missing_indexes(db, table);
}

}  // namespace deltamirror
