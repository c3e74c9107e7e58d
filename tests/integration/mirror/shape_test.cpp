// Changes of shape, followed in stream order without any connection to PostgreSQL.
#include <catch2/catch.hpp>

#include "shaped.h"
#include "shards.h"

using namespace support;

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

TEST_CASE("shape: new columns, generated or not, and new values of an enum need no copy",
          "[mirror][shape][integration]") {
  Shaped s;
  s.cluster.execute(
      "CREATE TYPE mood AS ENUM ('calm');"
      "ALTER TABLE t ADD c int, ADD d text DEFAULT 'd',"
      "              ADD g int GENERATED ALWAYS AS (b + 1) STORED;"
      "ALTER TABLE u ADD m mood DEFAULT 'calm'; ALTER TYPE mood ADD VALUE 'wild' BEFORE 'calm'");
  s.cluster.execute("INSERT INTO u VALUES(2, 'w', 'wild'); UPDATE t SET b = b * 2 WHERE id < 3");
  s.follow();  // without a connection
  s.check("SELECT id || '|' || coalesce(c, -1) || d || g FROM t ORDER BY id");
  s.check("SELECT id || v || m FROM u ORDER BY id");
}

TEST_CASE("shape: of three sources, one after the other, new columns and values need no copy",
          "[mirror][shape][sources][integration]") {
  const Together together = GENERATE(Together::Shared, Together::Prefixed);
  Shards s(
      "CREATE TYPE mood AS ENUM ('calm');"
      "CREATE TABLE t(id int PRIMARY KEY, b int, m mood);"
      "INSERT INTO t SELECT i, i * 10, 'calm' FROM generate_series(1, 3) i");
  s.write_config({{{"table", "t"}}}, together);
  s.seed();
  s.start_run();
  s.catch_up();
  for (const std::string& name : s.names) {
    s.cluster.execute(
        "ALTER TABLE t ADD c int, ADD d text DEFAULT 'd', "
        "              ADD g int GENERATED ALWAYS AS (b + 1) STORED;"
        "ALTER TABLE t ADD m2 mood DEFAULT 'calm'; ALTER TYPE mood ADD VALUE 'wild' BEFORE 'calm'",
        name);
    s.cluster.execute("INSERT INTO t VALUES(4, 7, 'wild', 1, 'n'); UPDATE t SET b = 1 WHERE id < 3",
                      name);
    s.catch_up(name);
    s.check_equal("t", "id || b || m || coalesce(c, -1) || d || g || m2", {name});
  }
  s.check_equal("t", "id || b || m || coalesce(c, -1) || d || g || m2");
  CHECK_THAT(s.runner->err(), !Catch::Contains("copying"));
  s.end_run();
}

TEST_CASE("shape: a volatile default and another type bring the rows again",
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
  const Result run = s.run_to_trouble();
  CHECK(run.exit == Exit{3, 0});
  CHECK_THAT(run.err, Catch::Contains("table t is another table now"));
  CHECK(s.value("SELECT count(*) FROM t") == "3");
}

TEST_CASE("shape: a type that came after the seed is told by the line that has it",
          "[mirror][shape][integration]") {
  Shaped s;
  s.cluster.execute(
      "CREATE DOMAIN late AS int; CREATE DOMAIN later AS late; CREATE TYPE twin AS (x late);"
      "ALTER TABLE t ADD COLUMN l later, ADD many later[], ADD w twin;"
      "UPDATE t SET l = 7, many = '{7,8}', w = ROW(9) WHERE id = 1");
  s.follow();
  CHECK(s.value("SELECT typeof(l) || l || many || w FROM t WHERE id = 1") == "integer7[7,8](9)");
}

// The seed asks the catalog and the plugin its caches: one definition, or every first change of a
// table would look like a change of its types.
TEST_CASE("shape: seed and schema lines tell of types alike", "[mirror][shape][integration]") {
  Pipeline s;
  s.cluster.execute(
      "CREATE SCHEMA \"O d\"; CREATE TYPE mood AS ENUM ('calm', E'a\\tb'); CREATE TYPE nought AS "
      "();"
      "CREATE DOMAIN mild AS mood; CREATE DOMAIN milder AS mild;"
      "CREATE DOMAIN price AS numeric(10,2); CREATE DOMAIN names AS text[];"
      "CREATE DOMAIN corner AS box; CREATE TYPE \"O d\".\"P r\" AS (x price, m milder[], b box[]);"
      "ALTER TYPE \"O d\".\"P r\" ADD ATTRIBUTE gone int, ADD ATTRIBUTE z names;"
      "ALTER TYPE \"O d\".\"P r\" DROP ATTRIBUTE gone;"
      "CREATE TYPE span AS RANGE (subtype = mood, multirange_type_name = spans);"
      "CREATE TABLE rows_of(a int, p price); ALTER TABLE rows_of DROP a;"
      "CREATE TABLE plain(id int PRIMARY KEY, b box[], i inet);"
      "CREATE TABLE t(id int PRIMARY KEY, m milder, n names, c corner[], p \"O d\".\"P r\"[], v "
      "nought,"
      "  s spans, r rows_of, y information_schema.yes_or_no, l pg_lsn[], u uuid, d price[],"
      "  k information_schema.cardinal_number[], q int4range, w int4multirange[])");
  s.start_stream();
  REQUIRE(s.seed({"--table", "t", "--table", "plain"}).ok());
  const Texts seeded = s.rows("SELECT name || shape FROM _deltamirror_tables ORDER BY 1");
  REQUIRE(seeded.size() == 2);
  CHECK_THAT(seeded[1], Catch::Contains("array") && Catch::Contains("multirange"));
  s.cluster.execute("INSERT INTO t(id) VALUES(1); INSERT INTO plain(id) VALUES(1)");
  const Result run = s.run_once();
  INFO(run.err);
  REQUIRE(run.ok());
  CHECK(s.rows("SELECT name || shape FROM _deltamirror_tables ORDER BY 1") == seeded);
  CHECK(s.value("SELECT count(*) FROM t") == "1");
}

namespace {

// Follows what happened to `t`, which only a copy can mend, and compares it with PostgreSQL.
void check_copied(const Pipeline& s, const std::string& columns) {
  const Result alone = s.run_to_trouble();
  CHECK(alone.exit == Exit{3, 0});
  CHECK_THAT(alone.err, Catch::Contains("values of table public.t read otherwise since") &&
                            Catch::Contains("reseed"));
  const Result helped = run({program("deltamirror"), "run", s.mirror(), "--daystream", s.stream(),
                             "-d", s.cluster.conninfo(), "--until-lsn",
                             s.cluster.scalar("SELECT pg_current_wal_flush_lsn()")});
  INFO(helped.err);
  REQUIRE(helped.ok());
  // format() there is as the output functions are; a cast of inet is not.
  const std::string select = "SELECT format(" + columns + ") FROM t ORDER BY id";
  CHECK(s.rows(select) == s.source_rows(select));
}

}  // namespace

TEST_CASE("shape: another type of the same bytes that reads otherwise is copied again",
          "[mirror][shape][integration]") {
  Pipeline s;
  s.cluster.execute(
      "CREATE DOMAIN net AS cidr; CREATE TABLE t(id int, c cidr, d net, o oid, v varchar(5),"
      "  PRIMARY KEY(id));"
      "INSERT INTO t SELECT i, ('10.1.2.' || i || '/32')::cidr, ('10.1.3.' || i || '/32')::cidr,"
      "  4000000000, 'v' FROM generate_series(1, 3) i");
  const bool in_key = GENERATE(false, true);
  if (in_key) {
    s.cluster.execute("ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY(id, c)");
  }
  const std::string what =
      GENERATE(as<std::string>{}, "ALTER TABLE t ALTER c TYPE inet",
               "ALTER TABLE t ALTER d TYPE inet", "ALTER TABLE t ALTER o TYPE int",
               "BEGIN; ALTER TABLE t ALTER c TYPE inet; UPDATE t SET v = 'x' WHERE id = 2; COMMIT");
  CAPTURE(what, in_key);
  s.start_stream();
  REQUIRE(s.seed({"--table", "t"}).ok());
  s.cluster.execute("UPDATE t SET v = 'w' WHERE id = 1");
  s.cluster.execute(what);
  s.cluster.execute("UPDATE t SET v = 'y' WHERE id = 3; DELETE FROM t WHERE id = 1");
  check_copied(s, "'%s %s %s %s %s', id, c, d, o, v");
}

TEST_CASE("shape: a where over what reads otherwise chooses again",
          "[mirror][shape][integration]") {
  Pipeline s;
  s.cluster.execute(
      "CREATE TYPE mood AS ENUM ('calm', 'wild'); CREATE TABLE t(id int PRIMARY KEY, m mood, v "
      "text);"
      "INSERT INTO t VALUES(1, 'calm', 'a'), (2, 'wild', 'b')");
  s.start_stream();
  REQUIRE(s.seed({"--table", "t", "--where", "m = 'calm'"}).ok());
  s.cluster.execute(
      "BEGIN; ALTER TYPE mood RENAME VALUE 'calm' TO 'x'; ALTER TYPE mood RENAME VALUE 'wild' TO "
      "'calm'; COMMIT");
  const Result alone = s.run_to_trouble();
  CHECK(alone.exit == Exit{3, 0});
  CHECK_THAT(alone.err, Catch::Contains("is now called"));
}

TEST_CASE("shape: what is known to read the same needs no copy", "[mirror][shape][integration]") {
  Shaped s;
  s.cluster.execute(
      "CREATE TYPE mood AS ENUM ('calm'); CREATE DOMAIN short AS varchar(5);"
      "ALTER TABLE t ADD v varchar(5) DEFAULT 'v', ADD d short DEFAULT 'd', ADD m mood DEFAULT "
      "'calm'");
  s.follow();
  s.cluster.execute(
      "ALTER TABLE t ALTER v TYPE varchar(9); ALTER TABLE t ALTER v TYPE text;"
      "ALTER TABLE t ALTER d TYPE varchar; ALTER TYPE mood ADD VALUE 'wild';"
      "ALTER TYPE mood RENAME TO temper; CREATE TYPE mood AS ENUM ('calm')");
  s.cluster.execute("INSERT INTO t VALUES(9, 'n', 9, 'long, longer', 'dd', 'wild')");
  s.follow();
  s.check("SELECT id || a || b || v || d || m FROM t ORDER BY id");
}

TEST_CASE("shape: a type of the same name that is another one", "[mirror][shape][integration]") {
  Shaped s;
  s.cluster.execute("CREATE DOMAIN d AS text; ALTER TABLE u ADD d d; UPDATE u SET d = 'x'");
  s.follow();
  if (GENERATE(true, false)) {
    s.cluster.execute("ALTER TABLE u DROP d; DROP DOMAIN d");
  } else {
    s.cluster.execute("ALTER DOMAIN d RENAME TO e");
  }
  s.cluster.execute(
      "CREATE DOMAIN d AS boolean; ALTER TABLE t ADD c d, ADD many d[]; INSERT INTO t VALUES(7, "
      "'n', "
      "7, true, '{t,f}'); UPDATE u SET v = 'later'");
  s.follow();
  CHECK(s.value("SELECT typeof(c) || c || many FROM t WHERE id = 7") == "integer1[true,false]");
  s.check("SELECT id || v FROM u");
}

TEST_CASE("shape: a table that is idle is told what its values read as now",
          "[mirror][shape][integration]") {
  Pipeline s;
  s.cluster.execute(
      "CREATE TYPE mood AS ENUM ('calm', 'wild'); CREATE DOMAIN mild AS mood;"
      "CREATE TYPE span AS RANGE (subtype = mood); CREATE TYPE pair AS (x int, m mild[]);"
      "CREATE DOMAIN pairs AS pair[]; CREATE TABLE rows_of(x int, m mood);"
      "CREATE TABLE other(id int PRIMARY KEY)");
  const auto [type, value, change] = GENERATE(table<std::string, std::string, std::string>({
      {"mood", "'calm'", "ALTER TYPE mood RENAME VALUE 'calm' TO 'quiet'"},
      {"mild[]", "'{calm,wild}'", "ALTER TYPE mood RENAME VALUE 'calm' TO 'quiet'"},
      {"span", "'[calm,wild]'", "ALTER TYPE mood RENAME VALUE 'wild' TO 'mad'"},
      {"pairs", "'{\"(1,{calm})\"}'", "ALTER TYPE mood RENAME VALUE 'calm' TO 'quiet'"},
      {"pairs", "'{\"(1,{calm})\"}'", "ALTER TYPE pair ADD ATTRIBUTE z int"},
      {"pair", "'(1,{calm})'", "ALTER TYPE pair DROP ATTRIBUTE x"},
      {"rows_of[]", "'{\"(1,calm)\"}'", "ALTER TABLE rows_of DROP COLUMN x"},
      {"rows_of", "'(1,calm)'", "ALTER TABLE rows_of ADD COLUMN z int"},
  }));
  CAPTURE(type, change);
  s.cluster.execute("CREATE TABLE t(id int PRIMARY KEY, c " + type + "); INSERT INTO t VALUES(1, " +
                    value + ")");
  s.start_stream();
  REQUIRE(s.seed({"--table", "t"}).ok());
  s.streamer->signal(SIGTERM);
  s.streamer->wait();
  s.start_stream();  // a connection that has told of nothing
  s.cluster.execute(change);
  s.cluster.execute("INSERT INTO other VALUES(1)");
  const Result alone = s.run_to_trouble();
  CHECK(alone.exit == Exit{3, 0});
  CHECK_THAT(alone.err, Catch::Contains("values of table public.t read otherwise since"));
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

TEST_CASE("shape: values that read otherwise without a row being touched are copied again",
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
  const support::Result alone = s.run_to_trouble();
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

TEST_CASE("shape: a label that came later is known when it is renamed",
          "[mirror][shape][integration]") {
  Pipeline s;
  s.cluster.execute(
      "CREATE TYPE mood AS ENUM ('calm'); CREATE TABLE t(id int PRIMARY KEY, m mood[]) PARTITION "
      "BY "
      "RANGE(id); CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (10);"
      "INSERT INTO t VALUES(1, '{calm}')");
  const auto start = [&] {
    s.streamer.emplace(Texts{program("deltastream"), "-d", s.cluster.conninfo(), "-S", "mirror",
                             "-D", s.stream(), "--create-slot", "--if-not-exists",
                             "--partition-root"});
    REQUIRE(eventually([&] { return std::filesystem::exists(s.dir / "stream/durable"); }));
  };
  const auto restart = [&] {
    s.streamer->signal(SIGTERM);
    s.streamer->wait();
    start();
  };
  start();
  REQUIRE(s.seed({"--table", "t"}).ok());
  restart();
  s.cluster.execute("ALTER TYPE mood ADD VALUE 'new'");
  restart();
  s.cluster.execute("INSERT INTO t VALUES(2, '{new}')");
  const Result added = s.run_once();
  INFO(added.err);
  REQUIRE(added.ok());
  restart();
  s.cluster.execute("ALTER TYPE mood RENAME VALUE 'new' TO 'old'");
  const Result renamed = s.run_to_trouble();
  CHECK(renamed.exit == Exit{3, 0});
  CHECK_THAT(renamed.err, Catch::Contains("the value \"new\" of an enum is now called \"old\""));
}
