#include "program/sqlite.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "program/quoted.h"
#include "src/reasons.h"

namespace daystream::program {

namespace {

// Between two looks whether a statement is to end: a few milliseconds.
constexpr int kInstructionsBetweenLooks = 100'000;

std::string message(sqlite3* db, int code) {
  const char* text = db == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db);
  return text == nullptr ? "unknown error" : text;
}

// Where SQLite cannot open a file for writing, for whatever reason, it opens it for reading, and
// says so only when something is written. A file that was moved away is another matter.
bool is_read_only_by_accident(sqlite3* db, int code) {
  const char* const name = sqlite3_db_filename(db, "main");  // empty: in memory
  if ((code & 0xff) != SQLITE_READONLY || code == SQLITE_READONLY_DBMOVED) return false;
  if (name == nullptr || name[0] == '\0') return false;
  const auto may_be_written = [](const std::string& file) {
    return access(file.c_str(), W_OK) == 0 || errno == ENOENT;
  };
  const std::string file = name;
  const std::string folder = std::filesystem::path(file).parent_path();
  return access(file.c_str(), W_OK) == 0 && may_be_written(file + "-wal") &&
         may_be_written(file + "-shm") && may_be_written(folder.empty() ? "." : folder);
}

// A page that its disk did not give SQLite takes for a damaged one.
// `last`: errno after the call, before which it was 0.
bool is_unread(int code, int last) noexcept {
  return (code & 0xff) == SQLITE_CORRUPT && (last == EIO || last == ENXIO || last == ERANGE);
}

// SQLite knows a full disk from a write that fails; a quota that is used up, and a log that cannot
// grow, are the same to us. That this user may not open a file it tells from one that is not there
// by the reason alone.
// `last`: errno after the call, before which it was 0: of a COMMIT that fails SQLite keeps none.
int code_of(sqlite3* db, int last) {
  const int code = sqlite3_extended_errcode(db);
  const int reason = sqlite3_system_errno(db);
  if (is_unread(code, last)) return SQLITE_IOERR_READ;
  if ((code & 0xff) != SQLITE_IOERR && (code & 0xff) != SQLITE_CANTOPEN) return code;
  if (daystream::is_no_room(reason != 0 ? reason : last)) return SQLITE_FULL;
  return reason == EACCES || reason == EPERM || reason == EROFS ? SQLITE_PERM : code;
}

std::string hint_of(int code) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "another program holds its lock: \"fuser\" with the file's name shows which one";
    case SQLITE_FULL:
      return "make room on its disk, or raise its quota or the limit of a file's size (ulimit -f)";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return "look whether it and its folder are there, and may be written to by this user";
    case SQLITE_CORRUPT:
      return "it is damaged: \"deltamirror restore\" a snapshot, or remove it and seed again; "
             "dmesg and smartctl tell whether its disk is the cause";
    case SQLITE_NOTADB:
      return "name a mirror; where it was one, \"deltamirror restore\" a snapshot";
    case SQLITE_IOERR:
      return "look at its disk: dmesg, smartctl";
    default:
      return "--log-level debug shows the statement";
  }
}

// Before anything resets what it is about.
SqliteError refusal(sqlite3* db, const char* sql, int code) {
  const int last = errno;
  spdlog::debug("what SQLite refuses: {}", sql == nullptr ? "" : sql);
  const char* const file = sqlite3_db_filename(db, "main");  // empty: in memory
  const bool named = file != nullptr && file[0] != '\0';
  const std::string what = named ? fmt::format("{} \"{}\"", database_noun, file) : "SQLite";
  const int extended = sqlite3_extended_errcode(db);
  if (is_read_only_by_accident(db, extended)) {
    return {what + ": a file of it could not be opened for writing", SQLITE_IOERR};
  }
  const std::string why = is_unread(extended, last)
                              ? fmt::format("it could not be read: {}", std::strerror(last))
                              : message(db, code);
  return {fmt::format("{}: {}", what, why), code_of(db, last)};
}

// An empty string_view may have a null pointer, which SQLite would take for NULL.
const char* bytes_of(std::string_view text) noexcept {
  return text.data() == nullptr ? "" : text.data();
}

}  // namespace

SqliteError::SqliteError(const std::string& message, int code)
    : Error(message, hint_of(code)), code_(code) {}

bool SqliteError::retryable() const noexcept {
  return daystream::is_retryable(daystream::reason_of_sqlite(code_));
}

daystream::ExitCode SqliteError::exit_code() const noexcept {
  return daystream::exit_code_of(daystream::reason_of_sqlite(code_));
}

bool SqliteError::is_of_statement() const noexcept {
  const int code = code_ & 0xff;
  return code == SQLITE_ERROR || code == SQLITE_CONSTRAINT || code == SQLITE_TOOBIG;
}

Statement::Statement(sqlite3* db, std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  errno = 0;
  const int code = sqlite3_prepare_v3(db, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  statement_.reset(statement);
  if (code != SQLITE_OK) throw refusal(db, std::string(sql).c_str(), code);
}

void Statement::bind(int index, std::string_view text) {
  check(sqlite3_bind_text64(raw(), index, bytes_of(text), text.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8));
}
void Statement::bind_blob(int index, std::string_view bytes) {
  check(sqlite3_bind_blob64(raw(), index, bytes_of(bytes), bytes.size(), SQLITE_TRANSIENT));
}
void Statement::bind_static_text(int index, std::string_view text) {
  check(sqlite3_bind_text64(raw(), index, bytes_of(text), text.size(), SQLITE_STATIC, SQLITE_UTF8));
}
void Statement::bind_static_blob(int index, std::string_view bytes) {
  check(sqlite3_bind_blob64(raw(), index, bytes_of(bytes), bytes.size(), SQLITE_STATIC));
}

bool Statement::step() {
  errno = 0;
  const int code = sqlite3_step(raw());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  fail(code);
}

void Statement::run() {
  while (step()) {
  }
  reset();
}

std::string Statement::text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(raw(), column));
  const int size = sqlite3_column_bytes(raw(), column);
  return bytes == nullptr ? std::string() : std::string(bytes, static_cast<std::size_t>(size));
}

void Statement::fail(int code) const {
  sqlite3* const db = sqlite3_db_handle(raw());
  const SqliteError error = refusal(db, sqlite3_sql(raw()), code);
  sqlite3_reset(raw());
  throw error;
}

Database::Database(const std::string& path, Mode mode) : path_(path) {
  // Once, before the first database: SQLite need not count its memory under a lock.
  [[maybe_unused]] static const int configured = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (mode == Mode::ReadOnly) flags |= SQLITE_OPEN_READONLY;
  if (mode == Mode::ReadWrite) flags |= SQLITE_OPEN_READWRITE;
  if (mode == Mode::Create) flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  sqlite3* db = nullptr;
  errno = 0;
  const int code = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
  const int last = errno;
  db_.reset(db);
  if (code != SQLITE_OK) {
    // What the system says of a file that cannot be opened, SQLite keeps to itself.
    const bool is_known = (code & 0xff) == SQLITE_CANTOPEN && last != 0;
    throw SqliteError(fmt::format("could not open {} \"{}\": {}", database_noun, path,
                                  is_known ? std::strerror(last) : message(db, code)),
                      db == nullptr ? code : code_of(db, last));
  }
  set_lock_patience(std::chrono::seconds(10));
  // "name" is a name and never a string: else an index on a column that is gone would silently be
  // one on a constant.
  sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
}

void Database::exec(const std::string& sql) {
  errno = 0;
  const int code = sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) throw refusal(db_.get(), sql.c_str(), code);
}

void Database::exec_one(const std::string& sql) {
  sqlite3_stmt* raw = nullptr;
  const char* rest = nullptr;
  errno = 0;
  const int code =
      sqlite3_prepare_v2(db_.get(), sql.c_str(), static_cast<int>(sql.size()) + 1, &raw, &rest);
  if (code != SQLITE_OK) throw refusal(db_.get(), sql.c_str(), code);
  Statement statement(raw);
  const std::string_view more =
      std::string_view(sql).substr(static_cast<std::size_t>(rest - sql.c_str()));
  if (raw == nullptr || more.find_first_not_of("; \t\r\n") != std::string_view::npos) {
    spdlog::debug("what is more than one statement: {}", sql);
    throw NotOneStatement(fmt::format("{} \"{}\": what should be one statement is {}",
                                      database_noun, path_, raw == nullptr ? "none" : "several"),
                          SQLITE_ERROR);
  }
  statement.run();
}

struct Database::Patience {
  daystream::Stop stop;
  std::chrono::milliseconds length;
  std::optional<std::chrono::steady_clock::time_point> since;

  bool is_over() {
    if (!stop.requested()) {
      since.reset();
      return false;
    }
    const auto now = std::chrono::steady_clock::now();
    if (!since) since = now;
    return now >= *since + length;
  }
};

void Database::Forget::operator()(Patience* patience) const noexcept {
  delete patience;
}

void Database::give_up_when(daystream::Stop stop, std::chrono::milliseconds patience) {
  patience_.reset(new Patience{std::move(stop), patience, std::nullopt});
  const auto is_over = [](void* given) { return static_cast<Patience*>(given)->is_over() ? 1 : 0; };
  sqlite3_progress_handler(db_.get(), kInstructionsBetweenLooks, is_over, patience_.get());
}

void Database::set_lock_patience(std::chrono::milliseconds patience) noexcept {
  lock_patience_ = patience;
  sqlite3_busy_timeout(db_.get(), static_cast<int>(patience.count()));
}

std::optional<std::string> Database::value(std::string_view sql) const {
  Statement statement = prepare(sql);
  if (!statement.step() || statement.is_null(0)) return std::nullopt;
  return statement.text(0);
}

void Database::begin_immediate() {
  if (!begin_) begin_ = prepare("BEGIN IMMEDIATE");
  begin_.run();
}
void Database::commit() {
  if (!commit_) commit_ = prepare("COMMIT");
  commit_.run();
}

void Database::close() {
  begin_ = {};
  commit_ = {};
  const int code = sqlite3_close(db_.get());
  if (code != SQLITE_OK) {
    throw SqliteError(fmt::format("could not close \"{}\": {}", path_, message(db_.get(), code)),
                      code);
  }
  static_cast<void>(db_.release());
}

SchemaWrites::SchemaWrites(Database& db) : db_(db) {
  sqlite3_db_config(db_.raw(), SQLITE_DBCONFIG_DEFENSIVE, 0, nullptr);
  db_.exec("PRAGMA writable_schema = ON");
}
SchemaWrites::~SchemaWrites() {
  sqlite3_exec(db_.raw(), "PRAGMA writable_schema = OFF", nullptr, nullptr, nullptr);
  sqlite3_db_config(db_.raw(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
}

WriteTransaction::WriteTransaction(Database& db) : db_(db) {
  db_.begin_immediate();
}
WriteTransaction::~WriteTransaction() {
  // Fails only where SQLite has rolled back by itself, which is what we want.
  if (db_.in_transaction()) sqlite3_exec(db_.raw(), "ROLLBACK", nullptr, nullptr, nullptr);
}
void WriteTransaction::commit() {
  db_.commit();
}

Savepoint::Savepoint(Database& db) : db_(db) {
  db_.exec("SAVEPOINT before");
}
// SQLite does not know that its schema is another one, where it was read within.
constexpr const char* kTakeBack =
    "ROLLBACK TO before; RELEASE before; PRAGMA writable_schema = RESET";
Savepoint::~Savepoint() {
  if (is_open_) sqlite3_exec(db_.raw(), kTakeBack, nullptr, nullptr, nullptr);
}
void Savepoint::take_back() {
  if (std::exchange(is_open_, false)) db_.exec(kTakeBack);
}
void Savepoint::release() {
  db_.exec("RELEASE before");
  is_open_ = false;
}

ReadTransaction::ReadTransaction(const Database& db) : db_(db) {
  db_.prepare("BEGIN").run();
}
ReadTransaction::~ReadTransaction() {
  sqlite3_exec(db_.raw(), "COMMIT", nullptr, nullptr, nullptr);
}

bool has_table(const Database& db, const std::string& name) {
  Statement select =
      db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE");
  select.bind(1, name);
  return select.step();
}

std::vector<SchemaObject> objects_on(const Database& db, const std::string& table,
                                     std::string_view type) {
  Statement select = db.prepare(
      "SELECT name, sql FROM sqlite_schema WHERE tbl_name = ?1 COLLATE NOCASE AND "
      "type IN ('index', 'trigger') AND (?2 = '' OR type = ?2) AND sql IS NOT NULL "
      "ORDER BY type, rowid");
  select.bind(1, table);
  select.bind(2, type);
  std::vector<SchemaObject> out;
  while (select.step()) out.push_back({select.text(0), select.text(1)});
  return out;
}

namespace {

// While it lives, views and triggers are understood that name a collation which only the user's own
// program has. Nothing is compared by it: ALTER TABLE builds no index. When it ends such a
// collation is as unknown as before, so that no index of the user's is written in another order.
class AnyCollation {
 public:
  explicit AnyCollation(Database& db) : db_(db) {
    sqlite3_collation_needed(db_.raw(), this, &AnyCollation::make);
  }
  AnyCollation(const AnyCollation&) = delete;
  AnyCollation& operator=(const AnyCollation&) = delete;
  ~AnyCollation() {
    sqlite3_collation_needed(db_.raw(), nullptr, nullptr);
    for (const std::string& name : made_) {
      sqlite3_create_collation(db_.raw(), name.c_str(), SQLITE_UTF8, nullptr, nullptr);
    }
  }

 private:
  static void make(void* self, sqlite3* db, int /*encoding*/, const char* name) {
    constexpr auto kAllEqual = [](void*, int, const void*, int, const void*) { return 0; };
    static_cast<AnyCollation*>(self)->made_.emplace_back(name);
    sqlite3_create_collation(db, name, SQLITE_UTF8, nullptr, kAllEqual);
  }

  Database& db_;
  std::vector<std::string> made_;
};

// As another connection will read it: SQLite says so of the first statement after that.
void check_readable(Database& db, const std::string& altered_by) {
  db.exec("PRAGMA writable_schema = RESET");
  try {
    static_cast<void>(db.prepare("SELECT 1 FROM sqlite_schema"));
  } catch (const SqliteError& e) {
    if ((e.code() & 0xff) != SQLITE_CORRUPT) throw;
    // Nothing is damaged.
    std::string why = e.what();
    const std::string_view said = "malformed database schema";
    if (const auto at = why.find(said); at != std::string::npos) {
      why.replace(at, said.size(), "its schema could not be read any more");
    }
    throw SqliteError(fmt::format("{}, after {}", why, altered_by), SQLITE_ERROR);
  }
}

}  // namespace

// With a schema that may be written to, SQLite rewrites the views that it understands and lets the
// others be; otherwise it refuses. But then it also lets be what nobody could read again: an index
// on a column that is gone, two columns of one name.
void alter_table(Database& db, const std::string& sql) {
  Savepoint savepoint(db);
  {
    const AnyCollation any(db);
    const SchemaWrites writes(db);
    db.exec(sql);
  }
  check_readable(db, sql);
  savepoint.release();
}

void rename_table(Database& db, const std::string& from, const std::string& to) {
  db.exec("PRAGMA legacy_alter_table = ON");
  const struct Off {
    Database& db;
    ~Off() { sqlite3_exec(db.raw(), "PRAGMA legacy_alter_table = OFF", nullptr, nullptr, nullptr); }
  } off{db};
  db.exec("ALTER TABLE " + quote_name(from) + " RENAME TO " + quote_name(to));
}

std::string question_marks(std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += i == 0 ? "?" : ",?";
  return out;
}

std::string quote_name(std::string_view name) {
  return quoted(name, '"');
}
std::string quote_text(std::string_view text) {
  return quoted(text, '\'');
}

}  // namespace daystream::program
