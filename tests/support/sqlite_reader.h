// A read-only SQLite connection for tests, as any user of a mirror would open one.
#pragma once

#include <sqlite3.h>

#include <filesystem>
#include <memory>
#include <string>

#include "support/cluster.h"

namespace support {

class SqliteReader {
 public:
  // Opens with mode=ro and a busy timeout. Throws when it cannot be opened.
  explicit SqliteReader(const std::filesystem::path& file);

  // Values as text; a BLOB as lower-case hexadecimal after \x, a REAL with 17 digits.
  Rows query(const std::string& sql);
  std::string scalar(const std::string& sql);           // throws when there is none or NULL
  void execute(const std::string& sql) { query(sql); }  // BEGIN, COMMIT

 private:
  struct Close {
    void operator()(sqlite3* db) const noexcept { sqlite3_close_v2(db); }
  };
  std::unique_ptr<sqlite3, Close> db_;
};

}  // namespace support
