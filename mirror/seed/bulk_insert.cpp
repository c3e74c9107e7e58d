#include "seed/bulk_insert.h"

#include <fmt/format.h>

#include <exception>
#include <new>

namespace deltamirror {

namespace {

constexpr const char* kModule = "_deltamirror_rows";

// What the virtual table reads from, and what went wrong in it: exceptions do not pass through
// SQLite.
struct Rows {
  const RowSource& next;
  std::size_t columns;
  const RowBatch* batch = nullptr;
  std::size_t row = 0;  // in `batch`
  std::uint64_t taken = 0;
  std::exception_ptr problem = nullptr;

  int advance() noexcept {
    try {
      do {
        batch = next();
      } while (batch != nullptr && batch->rows() == 0);
      row = 0;
      return SQLITE_OK;
    } catch (...) {
      problem = std::current_exception();
      batch = nullptr;
      return SQLITE_ERROR;
    }
  }
};

struct RowsTable {
  sqlite3_vtab base;  // first: SQLite knows only this
  Rows* rows;
};

struct RowsCursor {
  sqlite3_vtab_cursor base;  // first
  Rows* rows;
};

Rows& rows_of(sqlite3_vtab_cursor* cursor) {
  return *reinterpret_cast<RowsCursor*>(cursor)->rows;
}

int connect(sqlite3* db, void* rows, int, const char* const*, sqlite3_vtab** out, char**) {
  std::string sql = "CREATE TABLE x(";
  for (std::size_t i = 0; i < static_cast<Rows*>(rows)->columns; ++i) {
    sql += fmt::format("{}c{}", i == 0 ? "" : ",", i);
  }
  const int code = sqlite3_declare_vtab(db, (sql + ")").c_str());
  if (code != SQLITE_OK) return code;
  auto* const table = new (std::nothrow) RowsTable{.base = {}, .rows = static_cast<Rows*>(rows)};
  if (table == nullptr) return SQLITE_NOMEM;
  *out = &table->base;
  return SQLITE_OK;
}

int disconnect(sqlite3_vtab* table) {
  delete reinterpret_cast<RowsTable*>(table);
  return SQLITE_OK;
}

int best_index(sqlite3_vtab*, sqlite3_index_info*) {
  return SQLITE_OK;  // there is one way: from the first row to the last
}

int open(sqlite3_vtab* table, sqlite3_vtab_cursor** out) {
  Rows* const rows = reinterpret_cast<RowsTable*>(table)->rows;
  auto* const cursor = new (std::nothrow) RowsCursor{.base = {}, .rows = rows};
  if (cursor == nullptr) return SQLITE_NOMEM;
  *out = &cursor->base;
  return SQLITE_OK;
}

int close(sqlite3_vtab_cursor* cursor) {
  delete reinterpret_cast<RowsCursor*>(cursor);
  return SQLITE_OK;
}

int filter(sqlite3_vtab_cursor* cursor, int, const char*, int, sqlite3_value**) {
  return rows_of(cursor).advance();
}

int next(sqlite3_vtab_cursor* cursor) {
  Rows& rows = rows_of(cursor);
  ++rows.taken;
  if (++rows.row < rows.batch->rows()) return SQLITE_OK;
  return rows.advance();
}

int eof(sqlite3_vtab_cursor* cursor) {
  return rows_of(cursor).batch == nullptr ? 1 : 0;
}

int column(sqlite3_vtab_cursor* cursor, sqlite3_context* context, int index) {
  const Rows& rows = rows_of(cursor);
  const Value value = rows.batch->value(rows.row, static_cast<std::size_t>(index));
  // SQLite takes a null pointer for NULL, which an empty text is not.
  const char* const bytes = value.bytes.data() == nullptr ? "" : value.bytes.data();
  switch (value.type) {
    case Value::Type::Null:
      sqlite3_result_null(context);
      break;
    case Value::Type::Integer:
      sqlite3_result_int64(context, value.integer);
      break;
    case Value::Type::Real:
      sqlite3_result_double(context, value.real);
      break;
    case Value::Type::Text:
      sqlite3_result_text64(context, bytes, value.bytes.size(), SQLITE_STATIC, SQLITE_UTF8);
      break;
    case Value::Type::Blob:
      sqlite3_result_blob64(context, bytes, value.bytes.size(), SQLITE_STATIC);
      break;
  }
  return SQLITE_OK;
}

int rowid(sqlite3_vtab_cursor* cursor, sqlite3_int64* out) {
  *out = static_cast<sqlite3_int64>(rows_of(cursor).taken);
  return SQLITE_OK;
}

// No xCreate: the table is there by its module's name alone, and nothing of it in the file.
sqlite3_module rows_module() {
  sqlite3_module module{};
  module.xConnect = &connect;
  module.xDisconnect = &disconnect;
  module.xBestIndex = &best_index;
  module.xOpen = &open;
  module.xClose = &close;
  module.xFilter = &filter;
  module.xNext = &next;
  module.xEof = &eof;
  module.xColumn = &column;
  module.xRowid = &rowid;
  return module;
}

class Registered {
 public:
  Registered(sqlite3* db, Rows& rows) : db_(db) {
    static const sqlite3_module module = rows_module();
    const int code = sqlite3_create_module(db, kModule, &module, &rows);
    if (code != SQLITE_OK) {
      throw SqliteError(fmt::format("could not make rows ready for SQLite: {}", sqlite3_errmsg(db)),
                        code);
    }
  }
  Registered(const Registered&) = delete;
  Registered& operator=(const Registered&) = delete;
  ~Registered() { sqlite3_create_module(db_, kModule, nullptr, nullptr); }

 private:
  sqlite3* db_;
};

}  // namespace

std::uint64_t bulk_insert(Database& db, const std::string& table, std::size_t columns,
                          const RowSource& next) {
  Rows rows{.next = next, .columns = columns};
  const Registered registered(db.raw(), rows);
  // OR FAIL: our caller rolls back, so that SQLite need not be able to.
  Statement insert = db.prepare(
      fmt::format("INSERT OR FAIL INTO {} SELECT * FROM {}", quote_name(table), kModule));
  try {
    insert.run();
  } catch (const SqliteError&) {
    if (rows.problem) std::rethrow_exception(rows.problem);
    throw;
  }
  return rows.taken;
}

}  // namespace deltamirror
