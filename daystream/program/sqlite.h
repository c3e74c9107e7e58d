// SQLite as owners: a database, its prepared statements and transactions.
#pragma once

#include <sqlite3.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "daystream/error.h"
#include "daystream/stop.h"

namespace daystream::program {

// What the files are in this program's messages.
inline const char* database_noun = "mirror";

// SQLite said no. The text is SQLite's own, after what was being done.
class SqliteError : public daystream::Error {
 public:
  SqliteError(const std::string& message, int code);
  int code() const noexcept { return code_; }  // extended result code
  bool retryable() const noexcept override;    // as src/reasons.h of the library has its code
  daystream::ExitCode exit_code() const noexcept override;
  // What is wrong is a statement, or what is in its tables; not the file or the disk.
  bool is_of_statement() const noexcept;
  // A statement does not fit the schema as it is.
  bool is_of_schema() const noexcept { return (code_ & 0xff) == SQLITE_ERROR; }

 private:
  int code_;
};

// Text that should be one statement, and is none or several.
class NotOneStatement : public SqliteError {
 public:
  using SqliteError::SqliteError;
};

// One prepared statement.
//
// Lifetime: must not outlive its Database. Bytes given to bind_static_* are not copied and must
// live until the next reset() or bind.
class Statement {
 public:
  Statement() noexcept = default;
  Statement(sqlite3*, std::string_view sql);
  explicit Statement(sqlite3_stmt* prepared) noexcept : statement_(prepared) {}  // is its owner

  void bind_null(int index) { check(sqlite3_bind_null(raw(), index)); }
  void bind(int index, std::int64_t value) { check(sqlite3_bind_int64(raw(), index, value)); }
  void bind(int index, double value) { check(sqlite3_bind_double(raw(), index, value)); }
  void bind(int index, std::string_view text);        // copies
  void bind_blob(int index, std::string_view bytes);  // copies
  void bind_static_text(int index, std::string_view text);
  void bind_static_blob(int index, std::string_view bytes);

  bool step();  // true: there is a row
  // Steps to the end and resets: for statements whose rows nobody wants.
  void run();
  void reset() noexcept { sqlite3_reset(raw()); }

  std::int64_t integer(int column) const { return sqlite3_column_int64(raw(), column); }
  std::string text(int column) const;
  bool is_null(int column) const { return sqlite3_column_type(raw(), column) == SQLITE_NULL; }

  sqlite3_stmt* raw() const noexcept { return statement_.get(); }
  explicit operator bool() const noexcept { return statement_ != nullptr; }

 private:
  void check(int code) const {
    if (code != SQLITE_OK) fail(code);
  }
  [[noreturn]] void fail(int code) const;

  struct Finalize {
    void operator()(sqlite3_stmt* s) const noexcept { sqlite3_finalize(s); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// A mirror may have come from elsewhere as a file, and what its schema says is somebody's text: so
// no connection trusts a schema, attaches another file, or writes to what SQLite keeps of itself
// (https://www.sqlite.org/security.html).
class Database {
 public:
  enum class Mode { ReadOnly, ReadWrite, Create };

  // ReadOnly opens as `mode=ro`: what a reader without any right to write does.
  Database(const std::string& path, Mode);

  void exec(const std::string& sql);  // any number of statements, of our own
  // One statement, of which somebody else wrote a part. Throws NotOneStatement where more follows.
  void exec_one(const std::string& sql);
  Statement prepare(std::string_view sql) const { return Statement(db_.get(), sql); }
  // The first column of the first row as text; nullopt: no row, or NULL.
  std::optional<std::string> value(std::string_view sql) const;
  int changes() const noexcept { return sqlite3_changes(db_.get()); }
  bool in_transaction() const noexcept { return sqlite3_get_autocommit(db_.get()) == 0; }
  // BEGIN IMMEDIATE and COMMIT, prepared once: a mirror that is caught up does little else.
  void begin_immediate();
  void commit();
  // A statement that runs for `patience` after `asked` says so ends with SQLITE_INTERRUPT: a
  // trigger or an index may compute without end. `asked` is called now and then, by the thread that
  // runs one.
  void give_up_when(daystream::Stop stop,
                    std::chrono::milliseconds patience = std::chrono::seconds(3));
  // What somebody else has locked is waited for this long; 10 s where nothing is set.
  void set_lock_patience(std::chrono::milliseconds patience) noexcept;
  std::chrono::milliseconds lock_patience() const noexcept { return lock_patience_; }
  // Closes now; throws where statements are still alive.
  void close();

  sqlite3* raw() const noexcept { return db_.get(); }
  const std::string& path() const noexcept { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* db) const noexcept { sqlite3_close_v2(db); }
  };
  struct Patience;
  struct Forget {
    void operator()(Patience* patience) const noexcept;
  };
  std::string path_;
  std::chrono::milliseconds lock_patience_{0};
  std::unique_ptr<Patience, Forget> patience_;  // which db_ asks
  std::unique_ptr<sqlite3, Close> db_;
  Statement begin_;
  Statement commit_;
};

// As long as it lives, statements may change sqlite_schema. When it ends the schema stands.
class SchemaWrites {
 public:
  explicit SchemaWrites(Database& db);
  SchemaWrites(const SchemaWrites&) = delete;
  SchemaWrites& operator=(const SchemaWrites&) = delete;
  ~SchemaWrites();

 private:
  Database& db_;
};

// BEGIN IMMEDIATE … COMMIT. Rolls back when destroyed without commit().
class WriteTransaction {
 public:
  explicit WriteTransaction(Database& db);
  WriteTransaction(const WriteTransaction&) = delete;
  WriteTransaction& operator=(const WriteTransaction&) = delete;
  ~WriteTransaction();
  void commit();

 private:
  Database& db_;
};

// What is done within a transaction while it lives can be taken back alone: it is, when destroyed
// without release().
class Savepoint {
 public:
  explicit Savepoint(Database& db);
  Savepoint(const Savepoint&) = delete;
  Savepoint& operator=(const Savepoint&) = delete;
  ~Savepoint();
  void release();
  void take_back();  // now; nothing where it was released

 private:
  Database& db_;
  bool is_open_ = true;
};

// BEGIN … END: what is read in between is of one commit.
class ReadTransaction {
 public:
  explicit ReadTransaction(const Database& db);
  ReadTransaction(const ReadTransaction&) = delete;
  ReadTransaction& operator=(const ReadTransaction&) = delete;
  ~ReadTransaction();

 private:
  const Database& db_;
};

// Whether there is a table of that name, as SQLite compares names.
bool has_table(const Database& db, const std::string& name);

struct SchemaObject {
  std::string name;
  std::string sql;
};
// What stands on a table, but for what SQLite has made by itself: first its indexes, then its
// triggers, each in the order in which they were made. `type`: only "index" or "trigger".
std::vector<SchemaObject> objects_on(const Database& db, const std::string& table,
                                     std::string_view type = {});

// Runs one ALTER TABLE. A user's view or trigger that is broken already, as its column is gone, is
// left as it is and does not stand in the way; nor does a collation that only the user's program
// has. Where SQLite could not read the schema after it, as
// an index is on a column that goes, or two columns would have one name, it is taken back, and an
// error of the statement is thrown.
void alter_table(Database& db, const std::string& sql);

// ALTER TABLE … RENAME TO. Views and triggers that name either table stay as they are written.
void rename_table(Database& db, const std::string& from, const std::string& to);

// ?,?,? for so many values.
std::string question_marks(std::size_t count);
// "name", for use in SQL.
std::string quote_name(std::string_view name);
// 'text', for use in SQL.
std::string quote_text(std::string_view text);

}  // namespace daystream::program
