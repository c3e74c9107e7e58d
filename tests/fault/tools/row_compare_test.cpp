#include "support/row_compare.h"

#include <catch2/catch.hpp>

#include "support/process.h"

using namespace support;

namespace {

void in_sqlite(const std::filesystem::path& file, const std::string& sql) {
  run_ok({"sqlite3", file.string()}, {.input = sql});
}

}  // namespace

TEST_CASE("row compare: equal tables are equal, each difference is named", "[fault][tools]") {
  const Cluster cluster;
  Session session = cluster.session();
  session.execute(
      "CREATE TABLE t (a int PRIMARY KEY, b text, c bool, d bytea, e timestamptz, f float8);"
      "INSERT INTO t VALUES (1, 'x', true, '\\x00ff', '2026-11-21 10:15:04+02', 0.1),"
      "                     (2, NULL, false, NULL, NULL, 'NaN'), (10, '', NULL, '', NULL, 1e300)");
  const TempDir dir;
  const auto file = dir / "m.db";
  in_sqlite(file,
            "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c INTEGER, d BLOB, e TEXT, f REAL);"
            "INSERT INTO t VALUES (1, 'x', 1, x'00ff', '2026-11-21 08:15:04', 0.1),"
            "(2, NULL, 0, NULL, NULL, 'NaN'), (10, '', NULL, x'', NULL, 1e300);");
  const std::vector<ComparedTable> tables = {{"public.t", ""}};
  CHECK(compare_tables(session, file, tables) == std::vector<std::string>{});
  CHECK(integrity_check(file) == "ok");

  in_sqlite(file, "UPDATE t SET b = '' WHERE a = 2");
  CHECK(compare_tables(session, file, tables) ==
        std::vector<std::string>{"public.t: row (2) column \"b\": PostgreSQL NULL, mirror \"\""});
  in_sqlite(file,
            "UPDATE t SET b = NULL, c = 1 WHERE a = 2; DELETE FROM t WHERE a = 10;"
            "INSERT INTO t VALUES (3, '', NULL, NULL, NULL, NULL)");
  CHECK(compare_tables(session, file, tables) ==
        std::vector<std::string>{"public.t: row (10) is missing in the mirror",
                                 "public.t: row (2) column \"c\": PostgreSQL \"0\", mirror \"1\"",
                                 "public.t: row (3) is in the mirror alone"});
}

TEST_CASE("row compare: a keyless table is compared as a bag of rows", "[fault][tools]") {
  const Cluster cluster;
  Session session = cluster.session();
  session.execute("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (1, 'x')");
  const TempDir dir;
  const auto file = dir / "m.db";
  in_sqlite(file, "CREATE TABLE t (a INTEGER, b TEXT); INSERT INTO t VALUES (1, 'x'), (1, 'x');");
  CHECK(compare_tables(session, file, {{"public.t", ""}}).empty());
  in_sqlite(file, "DELETE FROM t WHERE rowid = 1");
  CHECK(compare_tables(session, file, {{"public.t", ""}}) ==
        std::vector<std::string>{"public.t: row (1, x) is missing in the mirror"});
}
