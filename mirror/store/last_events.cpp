#include "store/last_events.h"

#include <map>
#include <mutex>
#include <utility>

#include "store/checkpoint.h"

namespace deltamirror {

namespace {

// By source: a process owns one mirror. For its threads, of which some only report.
class Unstored {
 public:
  std::optional<LastError> find(const std::string& source) {
    const std::lock_guard lock(mutex_);
    const auto found = errors_.find(source);
    return found == errors_.end() ? std::nullopt : std::optional(found->second);
  }
  void keep(const std::string& source, LastError error) {
    const std::lock_guard lock(mutex_);
    errors_.insert_or_assign(source, std::move(error));
  }
  void forget(const std::string& source) {
    const std::lock_guard lock(mutex_);
    errors_.erase(source);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, LastError> errors_;
};

Unstored& unstored() {
  static Unstored errors;
  return errors;
}

Unstored& stream_troubles() {
  static Unstored errors;
  return errors;
}

}  // namespace

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
    const LastError now{goes_on ? before->at : timestamp_now(), error.what(), error.hint(), after};
    unstored().keep(source, now);
    WriteTransaction transaction(db);
    Statement insert = db.prepare("INSERT OR REPLACE INTO _deltamirror_errors VALUES(?,?,?,?,?)");
    insert.bind(1, source);
    insert.bind(2, now.at);
    insert.bind(3, now.message);
    insert.bind(4, now.hint);
    insert.bind(5, static_cast<std::int64_t>(after));
    insert.run();
    transaction.commit();
    unstored().forget(source);
  } catch (...) {
    // As promised: a full disk, say, must not hide what came before it.
  }
}

void remember_failure(Database& db, const std::string& source, const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const daystream::Error& e) {
    const auto stored = load_error(db, source);
    const bool is_known =
        stored && stored->after == AfterError::Stopped && stored->message == e.what();
    if (!is_known) remember_error(db, source, e, AfterError::Stopped);
  }
}

void forget_error(Database& db, const std::string& source) {
  unstored().forget(source);
  if (!load_error(db, source)) return;
  WriteTransaction transaction(db);
  Statement remove = db.prepare("DELETE FROM _deltamirror_errors WHERE source = ?");
  remove.bind(1, source);
  remove.run();
  transaction.commit();
}

std::optional<LastError> load_error(const Database& db, const std::string& source) {
  if (auto error = unstored_error(source)) return error;
  Statement select =
      db.prepare("SELECT at, message, hint, after_it FROM _deltamirror_errors WHERE source = ?");
  select.bind(1, source);
  if (!select.step()) return std::nullopt;
  return LastError{select.text(0), select.text(1), select.text(2),
                   static_cast<AfterError>(select.integer(3))};
}

std::optional<LastError> unstored_error(const std::string& source) {
  return unstored().find(source);
}

void set_stream_trouble(const std::string& source, std::optional<LastError> trouble) {
  trouble ? stream_troubles().keep(source, std::move(*trouble)) : stream_troubles().forget(source);
}

std::optional<LastError> stream_trouble(const std::string& source) {
  auto trouble = stream_troubles().find(source);
  return trouble ? trouble : stream_troubles().find("");
}

}  // namespace deltamirror
