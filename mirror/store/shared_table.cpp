#include "store/shared_table.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "daystream/error.h"
#include "model/joined.h"
#include "model/names.h"
#include "store/indexes.h"
#include "store/number_columns.h"
#include "store/replace_table.h"

namespace deltamirror {

namespace {

[[noreturn]] void not_shareable(const MirroredTable& there, const MirroredTable& table,
                                const std::string& why) {
  throw daystream::NeedsPerson(
      fmt::format("table \"{}\" of source \"{}\" does not fit that of source \"{}\": {}",
                  table.name, table.source, there.source, why),
      "once they are equal, \"deltamirror reseed\" copies it, and \"run\" with a -d CONNINFO does "
      "so by itself; or keep them apart: without \"source_column\", with a \"prefix\"");
}

std::string described(const MirroredTable& table, int column) {
  const MirrorColumn& c = table.columns[static_cast<std::size_t>(column)];
  return fmt::format("{} {}", quote_name(c.name), c.type.declared());
}

std::string key_text(const MirroredTable& table) {
  const std::string out = joined(table.key(), ", ", [&](int k) { return described(table, k); });
  return out.empty() ? "none" : out;
}

struct SqliteColumn {
  std::string name;
  std::string type;
  bool is_key = false;
};

std::vector<SqliteColumn> sqlite_columns(Database& db, const std::string& table) {
  Statement select = db.prepare("SELECT name, type, pk FROM pragma_table_info(?)");
  select.bind(1, table);
  std::vector<SqliteColumn> out;
  while (select.step()) out.push_back({select.text(0), select.text(1), select.integer(2) != 0});
  return out;
}

const SqliteColumn* find_column(const std::vector<SqliteColumn>& columns, const std::string& name) {
  const auto found = std::find_if(columns.begin(), columns.end(), [&](const SqliteColumn& c) {
    return folded(c.name) == folded(name);
  });
  return found == columns.end() ? nullptr : &*found;
}

// What SQLite has cannot become what `table` needs by adding columns.
bool has_other_type(const std::vector<SqliteColumn>& there, const MirroredTable& table) {
  return std::any_of(table.columns.begin(), table.columns.end(), [&](const MirrorColumn& column) {
    const SqliteColumn* const has = find_column(there, column.name);
    return has != nullptr && has->type != column.type.declared();
  });
}

bool has_other_key(const std::vector<SqliteColumn>& there, const MirroredTable& table) {
  const std::vector<int> key = table.key();
  const auto keyed = std::count_if(there.begin(), there.end(), [](auto& c) { return c.is_key; });
  return static_cast<std::size_t>(keyed) != key.size() ||
         std::any_of(key.begin(), key.end(), [&](int k) {
           const SqliteColumn* const has =
               find_column(there, table.columns[static_cast<std::size_t>(k)].name);
           return has == nullptr || !has->is_key;
         });
}

// All columns that any of them has.
MirroredTable whole_table(const MirroredTable& table, const std::vector<MirroredTable>& others) {
  MirroredTable whole = table;
  for (const MirroredTable& other : others) {
    for (const MirrorColumn& column : other.columns) {
      const bool there =
          std::any_of(whole.columns.begin(), whole.columns.end(),
                      [&](const MirrorColumn& c) { return folded(c.name) == folded(column.name); });
      if (!there) whole.columns.push_back(column);
    }
  }
  return whole;
}

// The own rows' value of a column whose other rows have `others`.
std::string own_or(const MirroredTable& table, const std::string& own, const std::string& others) {
  return fmt::format("CASE WHEN {} = {} THEN {} ELSE {} END", quote_name(table.source_column),
                     quote_text(table.source), own, others);
}

void make_again(Database& db, const MirroredTable& table, const std::vector<MirroredTable>& others,
                const OwnValues& own) {
  const std::vector<SqliteColumn> there = sqlite_columns(db, table.name);
  const MirroredTable whole = whole_table(table, others);
  const std::string fresh = "_deltamirror_new";
  db.exec(create_table_sql(whole, fresh));
  // With another key there are no rows but its own, which are to be copied.
  if (!has_other_key(there, table)) {
    std::string selected;
    for (const MirrorColumn& column : whole.columns) {
      const SqliteColumn* const has = find_column(there, column.name);
      const bool same_type = has != nullptr && has->type == column.type.declared();
      // What is kept of others, or NULL.
      const std::string others_value = has == nullptr ? "NULL" : quote_name(column.name);
      const auto its_own = own.find(column.name);
      const std::string value = its_own != own.end() ? its_own->second
                                : same_type          ? others_value
                                                     : "NULL";
      if (!selected.empty()) selected += ", ";
      selected += value == others_value ? value : own_or(table, value, others_value);
    }
    db.exec(fmt::format("INSERT INTO {}({}) SELECT {} FROM {}", quote_name(fresh),
                        column_list(whole), selected, quote_name(table.name)));
  }
  for (const std::string& sql : replace_table(db, table.name, fresh)) {
    spdlog::warn("table {}: left out \"{}\", whose column is gone", table.name, sql);
  }
}

// Of what stands in one table with `table`.
bool is_only_kept(const MirroredTable& other, const MirroredTable& table) {
  return !other.is_followed() && other.is_shared() && other.source_column == table.source_column;
}

}  // namespace

std::vector<MirroredTable> sharing(const std::vector<MirroredTable>& tables,
                                   const MirroredTable& table) {
  std::vector<MirroredTable> out;
  for (const MirroredTable& other : tables) {
    if (other.standing.hidden || other.source == table.source) continue;  // it has no rows there
    if (folded(other.name) == folded(table.name)) out.push_back(other);
  }
  return out;
}

std::string shape_of_others(const Database& db, const MirroredTable& table) {
  if (!table.is_shared()) return {};
  Statement select = db.prepare(
      "SELECT group_concat(options || columns || shape || (state = 'following')) FROM (SELECT "
      "options, columns, shape, state FROM _deltamirror_tables WHERE source IN (SELECT source FROM "
      "_deltamirror_checkpoint) AND "
      "source <> ?1 AND name = ?2 AND NOT hidden ORDER BY source)");
  select.bind(1, table.source);
  select.bind(2, table.name);
  select.step();
  return select.text(0);
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

void check_fits(const std::vector<MirroredTable>& others, const MirroredTable& table) {
  for (const MirroredTable& other : others) {
    if (!is_only_kept(other, table)) check_shareable(other, table);
  }
}

std::vector<MirroredTable> make_room(Database& db, const MirroredTable& table,
                                     std::vector<MirroredTable> others) {
  std::erase_if(others, [&](MirroredTable& other) {
    if (!is_only_kept(other, table) || key_text(other) == key_text(table)) return false;
    spdlog::warn(
        "table {}: readers do not find what was kept of source \"{}\" until it is copied, "
        "as the table has another key in source \"{}\"",
        table.name, other.source, table.source);
    db.exec("DELETE FROM " + quote_name(other.name) + where_own(other));
    other.standing.hidden = true;
    save_table(db, other);
    return true;
  });
  return others;
}

MadeShared make_shared(Database& db, const MirroredTable& table,
                       const std::vector<MirroredTable>& others, const OwnValues& own) {
  if (!has_table(db, table.name)) {
    db.exec(create_table_sql(table, table.name));
    return MadeShared::AsItIs;
  }
  check_fits(others, table);
  std::vector<SqliteColumn> there = sqlite_columns(db, table.name);
  const bool again =
      has_other_type(there, table) || (others.empty() && has_other_key(there, table));
  if (again) {
    make_again(db, table, others, own);
    there = sqlite_columns(db, table.name);
  }
  for (const MirrorColumn& column : table.columns) {
    if (find_column(there, column.name) != nullptr) continue;
    // Of another source, under this name.
    const auto beside = drop_number_column(db, table, column.name);
    db.exec(fmt::format("ALTER TABLE {} ADD COLUMN {} {}", quote_name(table.name),
                        quote_name(column.name), column.type.declared()));
    for (const std::string& sql : beside) db.exec_one(sql);
  }
  add_number_columns(db, table);
  return again ? MadeShared::Again : MadeShared::AsItIs;
}

std::vector<MirroredTable> wished_beside(const std::vector<MirroredTable>& tables,
                                         const MirroredTable& table) {
  std::vector<MirroredTable> out;
  for (const MirroredTable& other : tables) {
    if (other.source != table.source && folded(other.name) == folded(table.name)) {
      out.push_back(other);
    }
  }
  return out;
}

std::string drop_unused_columns(Database& db, const std::vector<MirroredTable>& having,
                                const IndexColumns& indexes) {
  const MirroredTable& table = having.front();
  std::string stay;
  const auto drop_if_unused = [&](const std::string& name, const auto& drop) {
    const auto has_it = [&](const MirroredTable& one) { return has_column(one, name); };
    if (std::any_of(having.begin(), having.end(), has_it)) return;
    try {
      for (const std::vector<std::string>& index : indexes) {
        if (std::find(index.begin(), index.end(), name) == index.end()) continue;
        db.exec("DROP INDEX IF EXISTS " + quote_name(index_there(db, table, index)));
      }
      drop();
    } catch (const SqliteError& e) {
      if (!e.is_of_schema()) throw;
      stay += fmt::format("column \"{}\" stays, empty: {}; ", name, e.what());
    }
  };
  // They read others, and so go first.
  for (const std::string& name : number_columns_there(db, table.name)) {
    drop_if_unused(name, [&] {
      for (const std::string& sql : drop_number_column(db, table, name)) {
        stay += fmt::format("left out \"{}\", whose column is gone; ", sql);
      }
    });
  }
  for (const SqliteColumn& column : sqlite_columns(db, table.name)) {
    drop_if_unused(column.name, [&] {
      alter_table(db, fmt::format("ALTER TABLE {} DROP COLUMN {}", quote_name(table.name),
                                  quote_name(column.name)));
    });
  }
  return stay;
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
