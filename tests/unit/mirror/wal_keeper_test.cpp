#include "store/wal_keeper.h"

#include <catch2/catch.hpp>

#include "fixture.h"
#include "store/mirror_file.h"
#include "support/temp_dir.h"

using namespace deltamirror;

namespace {

// A mirror whose owner writes more at once than its log should have.
struct Written {
  explicit Written(const WalKeeper::Limits& limits) : keeper(db, limits) {}

  // The bytes that the log has afterwards.
  std::uint64_t write() {
    WriteTransaction transaction(db);
    db.exec(
        "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
        "INSERT OR REPLACE INTO t SELECT i, hex(randomblob(500)) FROM n");
    transaction.commit();
    keeper.after_commit();
    return file_size(path + "-wal");
  }

  static Database owned(const std::string& path) {
    {
      Database made(path, Database::Mode::Create);
      create_catalog(made);
      made.exec("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    }
    return open_owned(path);
  }

  const support::TempDir dir;
  const std::string path = (dir / "mirror.db").string();
  Database db = owned(path);
  WalKeeper keeper;
};

}  // namespace

TEST_CASE("log: a long reader keeps it large, which is told, and it shrinks after",
          "[mirror][wal]") {
  Written s({.large_bytes = 1 << 20,
             .between_looks = std::chrono::milliseconds(0),
             .patience = std::chrono::milliseconds(0)});
  CHECK(s.write() == 0);  // nobody reads: it was large, and was cut
  CHECK_FALSE(s.keeper.warned());

  Database reader = open_for_reading(s.path);
  reader.exec("BEGIN");
  CHECK(reader.value("SELECT count(*) FROM t") == "2000");
  for (int i = 0; i < 3; ++i) s.write();
  CHECK(file_size(s.path + "-wal") > 2 << 20);
  CHECK(s.keeper.warned());
  CHECK(reader.value("SELECT count(*) FROM t") == "2000");

  reader.exec("COMMIT");
  CHECK(s.write() == 0);
  CHECK_FALSE(s.keeper.warned());
}

TEST_CASE("log: while a source is far behind it may be larger", "[mirror][wal]") {
  Written s({.large_bytes = 1 << 20,
             .large_behind_bytes = 1 << 30,
             .between_looks = std::chrono::milliseconds(0)});
  s.keeper.set_backlog("a", 64ull << 20);
  s.keeper.set_backlog("b", 64ull << 20);
  CHECK(s.write() > 1 << 20);
  CHECK(s.db.value("PRAGMA wal_autocheckpoint") == std::to_string(kBehindLogPages));
  s.keeper.set_backlog("a", 0);
  CHECK(s.write() > 3 << 20);
  s.keeper.set_backlog("b", 0);
  CHECK(s.write() == 0);
  CHECK(s.db.value("PRAGMA wal_autocheckpoint") == "4096");
}
