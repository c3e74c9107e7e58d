// Changes of shape, followed in stream order without any connection to PostgreSQL.
#include <catch2/catch.hpp>

#include "shaped.h"

using namespace support;
using Texts = std::vector<std::string>;

TEST_CASE("shape: columns are added with and without defaults, dropped and renamed",
          "[mirror][shape][integration]") {
  Shaped s;
  s.cluster.execute(
      "ALTER TABLE t ADD COLUMN c int; ALTER TABLE t ADD COLUMN d text DEFAULT 'it''s';"
      "INSERT INTO t VALUES(4, 'a4', 40, 1, NULL); ALTER TABLE t RENAME a TO aa;"
      "UPDATE t SET aa = 'x' WHERE id = 1; ALTER TABLE t DROP COLUMN b; DELETE FROM t WHERE id = "
      "2");
  s.follow();
  s.check("SELECT id || aa || coalesce(c, -1) || coalesce(d, 'null') FROM t ORDER BY id");
  CHECK(s.rows("SELECT name FROM pragma_table_info('t')") == Texts{"id", "aa", "c", "d"});
}

TEST_CASE("shape: a volatile default and another type bring the rows anew",
          "[mirror][shape][integration]") {
  Shaped s;
  s.cluster.execute(
      "ALTER TABLE t ADD COLUMN r double precision DEFAULT random();"
      "ALTER TABLE t ALTER a TYPE int USING id * 7;"
      "BEGIN; INSERT INTO t VALUES(5, 5, 5, 0.5); ALTER TABLE t ALTER b TYPE text;"
      "UPDATE t SET b = 'changed' WHERE id = 5; COMMIT");
  s.follow();
  s.check("SELECT id || '|' || a || '|' || b FROM t ORDER BY id");
  s.check("SELECT count(*) FROM t WHERE r IS NOT NULL");
  CHECK(s.value("SELECT typeof(a) || typeof(b) || typeof(r) FROM t WHERE id = 5") ==
        "integertextreal");
}

TEST_CASE("shape: another type for a table without rows", "[mirror][shape][integration]") {
  Shaped s;
  s.cluster.execute(
      "TRUNCATE t; ALTER TABLE t ALTER b TYPE text; INSERT INTO t VALUES(1, 'a', 'b')");
  s.cluster.execute(
      "BEGIN; DELETE FROM u; ALTER TABLE u ALTER v TYPE int USING 0; INSERT INTO u VALUES(8, 9);"
      "COMMIT");
  s.follow();
  s.check("SELECT id || a || b FROM t");
  s.check("SELECT id || '|' || v FROM u");
  CHECK(s.value("SELECT typeof(v) FROM u") == "integer");
}

TEST_CASE("shape: tables are renamed and swap names", "[mirror][shape][integration]") {
  Shaped s;
  s.cluster.execute(
      "BEGIN; ALTER TABLE t RENAME TO w; ALTER TABLE u RENAME TO t; ALTER TABLE w RENAME TO u;"
      "COMMIT; INSERT INTO t VALUES(2, 'was u'); INSERT INTO u VALUES(9, 'was t', 9)");
  s.follow();
  s.check("SELECT id || v FROM t ORDER BY id");
  s.check("SELECT id || a || b FROM u ORDER BY id");
  s.cluster.execute("ALTER TABLE t RENAME TO q; UPDATE q SET v = 'q' WHERE id = 1");
  s.follow();
  s.check("SELECT id || v FROM q ORDER BY id");
}

TEST_CASE("shape: another key, truncates and a dropped table", "[mirror][shape][integration]") {
  Shaped s;
  s.cluster.execute(
      "BEGIN; ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY(a); COMMIT;"
      "UPDATE t SET id = 1; DELETE FROM t WHERE a = 'a2'; TRUNCATE u; INSERT INTO u VALUES(7, "
      "'n')");
  s.follow();
  s.check("SELECT id || a || b FROM t ORDER BY a");
  s.check("SELECT id || v FROM u");
  s.cluster.execute("DROP TABLE u");
  s.follow();
  CHECK(s.value("SELECT count(*) FROM sqlite_schema WHERE name = 'u'") == "0");
}

TEST_CASE("shape: another table under a followed name stops", "[mirror][shape][integration]") {
  Shaped s;
  s.cluster.execute(
      "CREATE TABLE fresh(id int PRIMARY KEY); INSERT INTO fresh VALUES(1);"
      "BEGIN; DROP TABLE t; ALTER TABLE fresh RENAME TO t; COMMIT; INSERT INTO t VALUES(2)");
  const Result run = s.run_once();
  CHECK(run.exit == Exit{3, 0});
  CHECK_THAT(run.err, Catch::Contains("table t is another table now"));
  CHECK(s.value("SELECT count(*) FROM t") == "3");
}

TEST_CASE("shape: a type that only the catalog knows stops with advice",
          "[mirror][shape][integration]") {
  Shaped s;
  s.cluster.execute("CREATE DOMAIN late AS int; ALTER TABLE t ADD COLUMN l late");
  const Result run = s.run_once();
  CHECK(run.exit == Exit{3, 0});
  CHECK_THAT(run.err, Catch::Contains("public.late"));
}

TEST_CASE("shape: a view over a column that is gone stands in nobody's way",
          "[mirror][shape][integration]") {
  Shaped s;
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec("CREATE VIEW gone AS SELECT b FROM t; CREATE VIEW kept AS SELECT a FROM t");
  s.cluster.execute("ALTER TABLE t DROP COLUMN b");
  s.cluster.execute(
      "ALTER TABLE t RENAME COLUMN a TO aa; ALTER TABLE t ADD COLUMN c int DEFAULT 7");
  s.cluster.execute("ALTER TABLE t RENAME TO w; UPDATE w SET aa = 'x' WHERE id = 1");
  s.follow();
  s.check("SELECT id || aa || c FROM w ORDER BY id");
  CHECK(s.rows("SELECT * FROM kept ORDER BY 1") == Texts{"a2", "a3", "x"});
  CHECK(s.value("PRAGMA integrity_check") == "ok");
}

TEST_CASE("shape: values that read otherwise without a row being touched are copied anew",
          "[mirror][shape][integration]") {
  Pipeline s;
  s.cluster.execute(
      "CREATE TYPE mood AS ENUM ('calm', 'wild'); CREATE TYPE pair AS (x int, y int);"
      "CREATE TABLE t(id int PRIMARY KEY, m mood, many mood[], p pair);"
      "INSERT INTO t VALUES (1, 'calm', '{calm,wild}', (1, 2)), (2, 'wild', NULL, NULL)");
  s.start_stream();
  REQUIRE(s.seed({"--table", "t"}).ok());
  // Whether the connection has told of the table before decides when it tells of its types.
  if (GENERATE(true, false)) s.cluster.execute("UPDATE t SET id = 3 WHERE id = 2");
  s.cluster.execute("ALTER TYPE mood ADD VALUE 'new'");
  s.cluster.execute("UPDATE t SET m = 'new' WHERE id > 1");
  const support::Result added = s.run_once();
  INFO(added.err);
  REQUIRE(added.ok());

  const std::string what =
      GENERATE(as<std::string>{}, "ALTER TYPE mood RENAME VALUE 'calm' TO 'quiet'",
               "ALTER TYPE pair ADD ATTRIBUTE z int", "ALTER TYPE pair DROP ATTRIBUTE x");
  CAPTURE(what);
  s.cluster.execute(what);
  s.cluster.execute("INSERT INTO t VALUES (4, 'wild', '{wild}', NULL)");
  const support::Result alone = s.run_once();
  CHECK(alone.exit == support::Exit{3, 0});
  CHECK_THAT(alone.err, Catch::Contains("public.t") && Catch::Contains("reseed"));

  const support::Result helped = support::run(
      {support::program("deltamirror"), "run", s.mirror(), "--daystream", s.stream(), "-d",
       s.cluster.conninfo(), "--until-lsn", s.cluster.scalar("SELECT pg_current_wal_flush_lsn()")});
  INFO(helped.err);
  REQUIRE(helped.ok());
  CHECK(s.rows("SELECT id || m || coalesce(p, '-') FROM t ORDER BY id") ==
        s.source_rows("SELECT id || m::text || coalesce(p::text, '-') FROM t ORDER BY id"));
  CHECK(s.value("SELECT many FROM t WHERE id = 1") ==
        s.cluster.scalar("SELECT to_json(many) FROM t WHERE id = 1"));
  s.cluster.execute("UPDATE t SET m = 'wild' WHERE id = 1");
  REQUIRE(s.run_once().ok());
  CHECK(s.value("SELECT m FROM t WHERE id = 1") == "wild");
}
