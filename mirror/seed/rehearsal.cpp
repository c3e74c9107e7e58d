#include "seed/rehearsal.h"

#include <fmt/format.h>

#include <set>

#include "history/history_tables.h"
#include "seed/load_table.h"
#include "seed/requests.h"
#include "sqlite/sqlite.h"
#include "store/indexes.h"
#include "store/mirror_file.h"

namespace deltamirror {

namespace {

std::set<std::string> views_of(const Database& db) {
  Statement views = db.prepare(
      "SELECT name FROM sqlite_schema WHERE type = 'view' UNION SELECT name FROM "
      "sqlite_temp_schema WHERE type = 'view'");
  std::set<std::string> out;
  while (views.step()) out.insert(views.text(0));
  return out;
}

// SQLite takes any, and looks at what they name when they are read. `before`: those that are not to
// be looked at.
void check_views(const Database& db, const std::set<std::string>& before = {}) {
  for (const std::string& view : views_of(db)) {
    if (before.contains(view)) continue;
    try {
      static_cast<void>(db.prepare("SELECT 1 FROM " + quote_name(view)));
    } catch (const SqliteError& e) {
      throw daystream::ConfigError(
          fmt::format("view \"{}\" of extra_sql cannot be read: {}", view, e.what()),
          "name tables and columns as the mirror has them");
    }
  }
}

// Those of our own: there are few.
void copy_rows(const Database& from, Database& to, const std::string& table) {
  Statement all = from.prepare("SELECT * FROM " + quote_name(table));
  const int columns = sqlite3_column_count(all.raw());
  Statement insert = to.prepare(fmt::format("INSERT INTO {} VALUES({})", quote_name(table),
                                            question_marks(static_cast<std::size_t>(columns))));
  while (all.step()) {
    insert.reset();
    for (int i = 0; i < columns; ++i) {
      sqlite3_bind_value(insert.raw(), i + 1, sqlite3_column_value(all.raw(), i));
    }
    insert.run();
  }
}

// All that is in `from`, but for people's rows and for what stands in it though SQLite does not
// take it.
void copy_schema(const Database& from, Database& to) {
  Statement all = from.prepare(
      "SELECT sql, type = 'table' AND name GLOB '_deltamirror_*', name FROM sqlite_schema WHERE "
      "sql IS NOT NULL AND name NOT GLOB 'sqlite_*' AND tbl_name NOT GLOB '_deltamirror_shadow_*' "
      "ORDER BY rowid");
  while (all.step()) {
    try {
      to.exec_one(all.text(0));
      if (all.integer(1) != 0) copy_rows(from, to, all.text(2));
    } catch (const SqliteError& e) {
      if (!e.is_of_schema()) throw;
    }
  }
}

}  // namespace

void rehearse(const Database& mirror, const std::vector<SeedTable>& coming,
              const std::vector<std::string>& sqls) {
  Database db(":memory:", Database::Mode::Create);
  copy_schema(mirror, db);
  const std::set<std::string> before = views_of(db);
  for (const SeedTable& seeded : coming) {
    const MirroredTable& table = seeded.mirrored;
    if (!table.is_shared() && has_table(db, table.name)) {
      db.exec("DROP TABLE " + quote_name(table.name));
    }
    make_table(db, table);
    save_table(db, table);
    create_missing_indexes(db, table);
    if (table.mode != TableMode::Mirror) begin_history(db, table);
  }
  run_extra_sql(db, sqls);
  check_views(db, before);
}

void rehearse(const std::vector<SeedPart>& parts, const MirrorConfig& config) {
  Database db(":memory:", Database::Mode::Create);
  create_catalog(db);
  for (const SeedPart& part : parts) {
    for (const SeedTable& table : part.session->tables()) {
      make_table(db, table.mirrored);
      save_table(db, table.mirrored);
    }
  }
  complete_mirror(db, parts, config);
  check_views(db);
}

}  // namespace deltamirror
