#include "store/last_events.h"

#include <fmt/format.h>

#include "store/checkpoint.h"
#include "store/mirrored_table.h"

namespace deltamirror {

void create_last_events(Database& db) {
  if (has_last_events(db)) return;
  const bool named = has_sources(db);
  WriteTransaction transaction(db);
  db.exec(fmt::format(R"(
    CREATE TABLE IF NOT EXISTS _deltamirror_changes({}
      oid INTEGER{},  -- of the table, as in _deltamirror_tables
      at TEXT NOT NULL,         -- time of the last commit that changed it, UTC, to about a second
      lsn TEXT NOT NULL{});
    CREATE TABLE IF NOT EXISTS _deltamirror_errors({}
      at TEXT NOT NULL,         -- when the owner met it last, UTC
      message TEXT NOT NULL,
      hint TEXT NOT NULL{});
  )",
                      named ? "source TEXT NOT NULL," : "", named ? " NOT NULL" : " PRIMARY KEY",
                      named ? ", PRIMARY KEY(source, oid)" : "",
                      named ? "source TEXT PRIMARY KEY," : "",
                      named ? ", after_it INTEGER NOT NULL" : ""));
  transaction.commit();
}

bool has_last_events(const Database& db) {
  return db.value("SELECT 1 FROM sqlite_schema WHERE name = '_deltamirror_errors'").has_value();
}

void save_change(Database& db, const std::string& source, std::uint32_t oid,
                 const LastChange& change) {
  const bool named = !source.empty();
  Statement insert = db.prepare(fmt::format(
      "INSERT OR REPLACE INTO _deltamirror_changes VALUES({}?1,?2,?3)", named ? "?4," : ""));
  insert.bind(1, std::int64_t{oid});
  insert.bind(2, change.at);
  insert.bind(3, change.lsn);
  if (named) insert.bind(4, source);
  insert.run();
}

std::optional<LastChange> load_change(const Database& db, const std::string& source,
                                      std::uint32_t oid) {
  if (!has_last_events(db)) return std::nullopt;
  const bool named = !source.empty();
  Statement select = db.prepare(fmt::format(
      "SELECT at, lsn FROM _deltamirror_changes WHERE oid = ?{}", named ? " AND source = ?" : ""));
  select.bind(1, std::int64_t{oid});
  if (named) select.bind(2, source);
  if (!select.step()) return std::nullopt;
  return LastChange{select.text(0), select.text(1)};
}

void remember_error(Database& db, const std::string& source, const daystream::Error& error,
                    AfterError after) noexcept {
  try {
    if (db.in_transaction() || !has_last_events(db)) return;
    const bool named = !source.empty();
    WriteTransaction transaction(db);
    if (!named) db.exec("DELETE FROM _deltamirror_errors");
    Statement insert = db.prepare(named ? "INSERT OR REPLACE INTO _deltamirror_errors VALUES(?4,?1,"
                                          "?2,?3,?5)"
                                        : "INSERT INTO _deltamirror_errors VALUES(?1,?2,?3)");
    insert.bind(1, utc_text(now_us()));
    insert.bind(2, std::string_view(error.what()));
    insert.bind(3, error.hint());
    if (named) {
      insert.bind(4, source);
      insert.bind(5, static_cast<std::int64_t>(after));
    }
    insert.run();
    transaction.commit();
  } catch (...) {
    // As promised: a full disk, say, must not hide what came before it.
  }
}

void forget_stop(Database& db, const std::string& source) {
  if (source.empty()) return;
  const auto error = load_error(db, source);
  if (!error || error->after == AfterError::None) return;
  WriteTransaction transaction(db);
  Statement update = db.prepare("UPDATE _deltamirror_errors SET after_it = 0 WHERE source = ?");
  update.bind(1, source);
  update.run();
  transaction.commit();
}

std::optional<LastError> load_error(const Database& db, const std::string& source) {
  if (!has_last_events(db)) return std::nullopt;
  const bool named = !source.empty();
  Statement select =
      db.prepare(fmt::format("SELECT at, message, hint, {} FROM _deltamirror_errors{}",
                             named ? "after_it" : "0", named ? " WHERE source = ?" : ""));
  if (named) select.bind(1, source);
  if (!select.step()) return std::nullopt;
  return LastError{select.text(0), select.text(1), select.text(2),
                   static_cast<AfterError>(select.integer(3))};
}

}  // namespace deltamirror
