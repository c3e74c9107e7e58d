#include "support/sqlite_reader.h"

#include <cstdio>
#include <stdexcept>

namespace support {

namespace {

struct Finalize {
  void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

[[noreturn]] void fail(sqlite3* db, const std::string& what) {
  throw std::runtime_error("SQLite: " + what + ": " + sqlite3_errmsg(db));
}

std::optional<std::string> value(sqlite3_stmt* statement, int column) {
  char text[64];
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL:
      return std::nullopt;
    case SQLITE_FLOAT:
      std::snprintf(text, sizeof text, "%.17g", sqlite3_column_double(statement, column));
      return text;
    case SQLITE_BLOB: {
      const auto* bytes = static_cast<const unsigned char*>(sqlite3_column_blob(statement, column));
      std::string out = "\\x";
      for (int i = 0; i < sqlite3_column_bytes(statement, column); ++i) {
        std::snprintf(text, sizeof text, "%02x", bytes[i]);
        out += text;
      }
      return out;
    }
    default:
      return std::string(reinterpret_cast<const char*>(sqlite3_column_text(statement, column)),
                         static_cast<std::size_t>(sqlite3_column_bytes(statement, column)));
  }
}

}  // namespace

SqliteReader::SqliteReader(const std::filesystem::path& file) {
  sqlite3* db = nullptr;
  const std::string uri = "file:" + file.string() + "?mode=ro";
  const int result =
      sqlite3_open_v2(uri.c_str(), &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nullptr);
  db_.reset(db);
  if (result != SQLITE_OK) fail(db, "could not open \"" + file.string() + "\"");
  sqlite3_busy_timeout(db, 60000);
}

Rows SqliteReader::query(const std::string& sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(db_.get(), sql.c_str(), -1, &raw, nullptr) != SQLITE_OK) {
    fail(db_.get(), sql);
  }
  const Statement statement(raw);
  Rows rows;
  for (;;) {
    const int step = sqlite3_step(raw);
    if (step == SQLITE_DONE) return rows;
    if (step != SQLITE_ROW) fail(db_.get(), sql);
    Row& row = rows.emplace_back();
    for (int i = 0; i < sqlite3_column_count(raw); ++i) row.push_back(value(raw, i));
  }
}

std::string SqliteReader::scalar(const std::string& sql) {
  const Rows rows = query(sql);
  if (rows.empty() || rows[0].empty() || !rows[0][0]) {
    throw std::runtime_error("no value from: " + sql);
  }
  return *rows[0][0];
}

}  // namespace support
