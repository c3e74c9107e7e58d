#include "store/wal_keeper.h"

#include <catch2/catch.hpp>

#include "fixture.h"
#include "store/mirror_file.h"
#include "support/temp_dir.h"

using namespace deltamirror;

TEST_CASE("log: a long reader keeps it large, which is told, and it shrinks after",
          "[mirror][wal]") {
  const support::TempDir dir;
  const std::string path = (dir / "mirror.db").string();
  {
    Database made(path, Database::Mode::Create);
    create_catalog(made);
    made.exec("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
  }
  Database db = open_owned(path);
  WalKeeper keeper(db, {.large_bytes = 1 << 20,
                        .between_looks = std::chrono::milliseconds(0),
                        .patience = std::chrono::milliseconds(0)});
  const auto write = [&] {
    WriteTransaction transaction(db);
    db.exec(
        "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
        "INSERT OR REPLACE INTO t SELECT i, hex(randomblob(500)) FROM n");
    transaction.commit();
    keeper.after_commit();
  };
  write();
  CHECK(file_size(path + "-wal") == 0);  // nobody reads: it was large, and was cut
  CHECK_FALSE(keeper.told());

  Database reader = open_for_reading(path);
  reader.exec("BEGIN");
  CHECK(reader.value("SELECT count(*) FROM t") == "2000");
  for (int i = 0; i < 3; ++i) write();
  CHECK(file_size(path + "-wal") > 2 << 20);
  CHECK(keeper.told());
  CHECK(reader.value("SELECT count(*) FROM t") == "2000");

  reader.exec("COMMIT");
  write();
  CHECK(file_size(path + "-wal") == 0);
  CHECK_FALSE(keeper.told());
}
