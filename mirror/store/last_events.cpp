#include "store/last_events.h"

#include "store/checkpoint.h"

namespace deltamirror {

void create_last_events(Database& db) {
  if (has_last_events(db)) return;
  WriteTransaction transaction(db);
  db.exec(R"(
    CREATE TABLE IF NOT EXISTS _deltamirror_changes(
      oid INTEGER PRIMARY KEY,  -- of the table, as in _deltamirror_tables
      at TEXT NOT NULL,         -- time of the last commit that changed it, UTC, to about a second
      lsn TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS _deltamirror_errors(
      at TEXT NOT NULL,         -- when the owner met it last, UTC
      message TEXT NOT NULL,
      hint TEXT NOT NULL);
  )");
  transaction.commit();
}

bool has_last_events(const Database& db) {
  return db.value("SELECT 1 FROM sqlite_schema WHERE name = '_deltamirror_errors'").has_value();
}

void save_change(Database& db, std::uint32_t oid, const LastChange& change) {
  Statement insert = db.prepare("INSERT OR REPLACE INTO _deltamirror_changes VALUES(?,?,?)");
  insert.bind(1, std::int64_t{oid});
  insert.bind(2, change.at);
  insert.bind(3, change.lsn);
  insert.run();
}

std::optional<LastChange> load_change(const Database& db, std::uint32_t oid) {
  if (!has_last_events(db)) return std::nullopt;
  Statement select = db.prepare("SELECT at, lsn FROM _deltamirror_changes WHERE oid = ?");
  select.bind(1, std::int64_t{oid});
  if (!select.step()) return std::nullopt;
  return LastChange{select.text(0), select.text(1)};
}

void remember_error(Database& db, const daystream::Error& error) noexcept {
  try {
    if (db.in_transaction() || !has_last_events(db)) return;
    WriteTransaction transaction(db);
    db.exec("DELETE FROM _deltamirror_errors");
    Statement insert = db.prepare("INSERT INTO _deltamirror_errors VALUES(?,?,?)");
    insert.bind(1, utc_text(now_us()));
    insert.bind(2, std::string_view(error.what()));
    insert.bind(3, error.hint());
    insert.run();
    transaction.commit();
  } catch (...) {
    // As promised: a full disk, say, must not hide what came before it.
  }
}

std::optional<LastError> load_error(const Database& db) {
  if (!has_last_events(db)) return std::nullopt;
  Statement select = db.prepare("SELECT at, message, hint FROM _deltamirror_errors");
  if (!select.step()) return std::nullopt;
  return LastError{select.text(0), select.text(1), select.text(2)};
}

}  // namespace deltamirror
