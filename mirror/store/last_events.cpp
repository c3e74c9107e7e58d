#include "store/last_events.h"

#include "store/checkpoint.h"

namespace deltamirror {

void save_change(Database& db, const std::string& source, std::uint32_t oid,
                 const LastChange& change) {
  Statement insert = db.prepare("INSERT OR REPLACE INTO _deltamirror_changes VALUES(?,?,?,?)");
  insert.bind(1, source);
  insert.bind(2, std::int64_t{oid});
  insert.bind(3, change.at);
  insert.bind(4, change.lsn);
  insert.run();
}

std::optional<LastChange> load_change(const Database& db, const std::string& source,
                                      std::uint32_t oid) {
  Statement select =
      db.prepare("SELECT at, lsn FROM _deltamirror_changes WHERE source = ? AND oid = ?");
  select.bind(1, source);
  select.bind(2, std::int64_t{oid});
  if (!select.step()) return std::nullopt;
  return LastChange{select.text(0), select.text(1)};
}

void remember_error(Database& db, const std::string& source, const daystream::Error& error,
                    AfterError after) noexcept {
  try {
    if (db.in_transaction()) return;
    // What goes on for long keeps its beginning, however often it is met.
    const auto before = load_error(db, source);
    const bool goes_on = before && after != AfterError::None && before->after == after;
    WriteTransaction transaction(db);
    Statement insert = db.prepare("INSERT OR REPLACE INTO _deltamirror_errors VALUES(?,?,?,?,?)");
    insert.bind(1, source);
    insert.bind(2, goes_on ? before->at : timestamp_now());
    insert.bind(3, std::string_view(error.what()));
    insert.bind(4, error.hint());
    insert.bind(5, static_cast<std::int64_t>(after));
    insert.run();
    transaction.commit();
  } catch (...) {
    // As promised: a full disk, say, must not hide what came before it.
  }
}

void forget_error(Database& db, const std::string& source) {
  if (!load_error(db, source)) return;
  WriteTransaction transaction(db);
  Statement remove = db.prepare("DELETE FROM _deltamirror_errors WHERE source = ?");
  remove.bind(1, source);
  remove.run();
  transaction.commit();
}

std::optional<LastError> load_error(const Database& db, const std::string& source) {
  Statement select =
      db.prepare("SELECT at, message, hint, after_it FROM _deltamirror_errors WHERE source = ?");
  select.bind(1, source);
  if (!select.step()) return std::nullopt;
  return LastError{select.text(0), select.text(1), select.text(2),
                   static_cast<AfterError>(select.integer(3))};
}

}  // namespace deltamirror
