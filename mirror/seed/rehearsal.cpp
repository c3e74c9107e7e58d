#include "seed/rehearsal.h"

#include <fmt/format.h>

#include "seed/load_table.h"
#include "sqlite/sqlite.h"
#include "store/mirror_file.h"

namespace deltamirror {

namespace {

// SQLite takes any, and looks at what they name when they are read.
void check_views(const Database& db) {
  Statement views = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'view'");
  while (views.step()) {
    try {
      static_cast<void>(db.prepare("SELECT 1 FROM " + quote_name(views.text(0))));
    } catch (const SqliteError& e) {
      throw daystream::ConfigError(
          fmt::format("view \"{}\" of extra_sql cannot be read: {}", views.text(0), e.what()),
          "name tables and columns as the mirror has them");
    }
  }
}

}  // namespace

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
