#include "store/absent_table.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/joined.h"
#include "store/checkpoint.h"
#include "store/indexes.h"
#include "store/shared_table.h"

namespace deltamirror {

namespace {

void remember(TableStanding& standing, const Absence& absence) {
  if (standing.state != absence.state || standing.since.empty()) standing.since = timestamp_now();
  standing.state = absence.state;
  standing.reason = absence.reason;
  standing.hint = absence.hint;
}

// SQLite compiles the triggers of a table with each statement that would fire them.
bool triggers_compile(const Database& db, const MirroredTable& table) {
  const std::string name = quote_name(table.name);
  const std::string unchanged = joined(table.columns, ", ", [](const MirrorColumn& column) {
    return fmt::format("{0} = {0}", quote_name(column.name));
  });
  try {
    static_cast<void>(db.prepare("INSERT INTO " + name + " DEFAULT VALUES"));
    static_cast<void>(db.prepare(fmt::format("UPDATE {} SET {}", name, unchanged)));
    static_cast<void>(db.prepare("DELETE FROM " + name));
  } catch (const SqliteError&) {
    return false;
  }
  return true;
}

}  // namespace

std::optional<OnTrouble> on_trouble_named(std::string_view word) {
  if (word == "hide") return OnTrouble::Hide;
  if (word == "keep") return OnTrouble::Keep;
  if (word == "stop") return OnTrouble::Stop;
  return std::nullopt;
}

void take_out(Database& db, MirroredTable& table, const Absence& absence, OnTrouble on_trouble) {
  forget_table(db, table.source, table.name);
  // What is kept is to have the name that was wished; there may be something else by now.
  const bool may_be_kept = table.name == table.wish.name || is_free_name(db, table.wish.name);
  if (table.mode == TableMode::Mirror && (on_trouble == OnTrouble::Hide || !may_be_kept)) {
    const bool there = has_table(db, table.name);
    const bool goes = !table.is_shared() || sharing(load_tables(db), table).empty();
    if (there && goes) {
      // Our own indexes come back by themselves.
      std::vector<std::string>& aside = table.standing.set_aside;
      for (auto& [name, sql] : others_objects(db, table)) {
        if (std::find(aside.begin(), aside.end(), sql) == aside.end()) {
          aside.push_back(std::move(sql));
        }
      }
    }
    if (there) drop_own(db, table);
    table.standing.hidden = true;
  }
  if (!table.standing.hidden && table.name != table.wish.name) {
    rename_table(db, table.name, table.wish.name);
  }
  table.name = table.wish.name;
  if (!table.wish.table.table.empty()) table.source_table = table.wish.table.display();
  remember(table.standing, absence);
  save_table(db, table);
}

void set_absence(Database& db, MirroredTable& table, const Absence& absence) {
  remember(table.standing, absence);
  save_absent(db, table);
}

void save_absent(Database& db, MirroredTable& table) {
  if (table.is_shared()) {
    Statement select =
        db.prepare("SELECT hidden FROM _deltamirror_tables WHERE source = ? AND name = ?");
    select.bind(1, table.source);
    select.bind(2, table.name);
    if (select.step()) table.standing.hidden = select.integer(0) != 0;
  }
  save_table(db, table);
}

bool same_but_name(const MirroredTable& one, const MirroredTable& other) {
  const auto rest = [](const MirroredTable& table) {
    nlohmann::json wish = nlohmann::json::parse(table.wish.text);
    wish.erase("table");
    if (wish.value("as", "") == table.wish.default_name()) wish.erase("as");
    return wish;
  };
  return rest(one) == rest(other);
}

bool is_free_name(const Database& db, const std::string& name) {
  try {
    check_mirror_name(name);
  } catch (const daystream::ConfigError&) {
    return false;
  }
  Statement select = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = ? COLLATE NOCASE");
  select.bind(1, name);
  return !select.step();
}

void rename_mirrored(Database& db, MirroredTable& table, const std::string& name) {
  for (std::string& sql : take_out_broken_triggers(db, table)) {
    spdlog::warn("table {}: left out trigger \"{}\", which no longer compiles", table.name, sql);
    table.standing.set_aside.push_back(std::move(sql));
  }
  alter_table(db,
              fmt::format("ALTER TABLE {} RENAME TO {}", quote_name(table.name), quote_name(name)));
}

std::optional<std::string> somebodys_object(const Database& db, const std::string& name) {
  // Asked of each table that is copied: not by reading all of the catalog.
  Statement select = db.prepare(
      "SELECT type FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type <> 'trigger' AND NOT "
      "EXISTS (SELECT 1 FROM _deltamirror_tables t WHERE t.name = ?1 COLLATE NOCASE AND NOT "
      "t.hidden)");
  select.bind(1, name);
  return select.step() ? std::optional(select.text(0)) : std::nullopt;
}

void make_again(Database& db, MirroredTable& table) {
  std::erase_if(table.standing.set_aside, [&](const std::string& sql) {
    try {
      db.exec_one(sql);
    } catch (const SqliteError& e) {
      if (!e.is_of_statement()) throw;
      return std::string_view(e.what()).find("already exists") != std::string_view::npos;
    }
    return true;
  });
}

std::vector<std::string> take_out_broken_triggers(Database& db, const MirroredTable& table) {
  if (table.columns.empty() || triggers_compile(db, table)) return {};
  const std::vector<SchemaObject> triggers = objects_on(db, table.name, "trigger");
  for (const auto& [name, sql] : triggers) db.exec("DROP TRIGGER " + quote_name(name));
  std::vector<std::string> broken;
  for (const auto& [name, sql] : triggers) {
    db.exec_one(sql);
    if (triggers_compile(db, table)) continue;
    db.exec("DROP TRIGGER " + quote_name(name));
    broken.push_back(sql);
  }
  return broken;
}

}  // namespace deltamirror
