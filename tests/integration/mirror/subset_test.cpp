// Subsets and histories beside what changes a mirror otherwise: reseeds, verify, shapes, snapshots.
#include <catch2/catch.hpp>
#include <fstream>

#include "pipeline.h"

using namespace support;

namespace {

struct Subset : Pipeline {
  Subset() {
    cluster.execute(
        "CREATE TABLE t(id int PRIMARY KEY, region text, n int, big text);"
        "ALTER TABLE t ALTER big SET STORAGE EXTERNAL;"
        "INSERT INTO t SELECT i, CASE WHEN i % 2 = 0 THEN 'eu' ELSE 'us' END, i, "
        "repeat(md5(i::text), 100) FROM generate_series(1, 100) i");
    start_stream();
  }
  Texts ids() const { return rows("SELECT id || ' ' || n FROM t ORDER BY id"); }
  Texts expected(const std::string& where) const {
    return source_rows("SELECT id || ' ' || n FROM t WHERE " + where + " ORDER BY id");
  }
  Result verify(Texts more = {}) const {
    Texts argv = {program("deltamirror"), "verify",      mirror(), "-d",
                  cluster.conninfo(),     "--daystream", stream()};
    argv.insert(argv.end(), more.begin(), more.end());
    return run(argv);
  }
};

}  // namespace

TEST_CASE("subset: a row that enters with a value that no line tells makes the table be copied",
          "[mirror][subset][integration]") {
  Subset s;
  const Result seeded = s.seed({"--table", "t", "--where", "region = 'eu'"});
  INFO(seeded.err);
  REQUIRE(seeded.ok());
  CHECK(s.ids() == s.expected("region = 'eu'"));
  // `big` is not in the line.
  s.cluster.execute("UPDATE t SET region = 'eu' WHERE id IN (1, 3)");
  const Result stopped = s.run_to_trouble();
  CHECK(stopped.exit == Exit{3, 0});
  CHECK_THAT(stopped.err, Catch::Contains("now fits its where") &&
                              Catch::Contains("\"big\", which did not change") &&
                              Catch::Contains("HINT: \"deltamirror reseed\" copies that table"));
  s.runner.emplace(Texts{program("deltamirror"), "run", s.mirror(), "--daystream", s.stream(), "-d",
                         s.cluster.conninfo()});
  s.catch_up();
  REQUIRE(
      eventually([&] { return s.value("SELECT state FROM _deltamirror_tables") == "following"; }));
  CHECK(s.ids() == s.expected("region = 'eu'"));
  CHECK(s.value("SELECT length(big) FROM t WHERE id = 3") == "3200");
  s.cluster.execute("UPDATE t SET region = 'us', n = 0 WHERE id = 2; DELETE FROM t WHERE id = 4");
  s.catch_up();
  CHECK(s.ids() == s.expected("region = 'eu'"));
  const Result right = s.verify();
  INFO(right.out << right.err);
  CHECK(right.ok());
  CHECK(s.verify({"--sample", "100%"}).ok());

  // Damage is found and mended under the filter, and a row of outside it is surplus.
  s.runner->signal(SIGTERM);
  s.runner->wait();
  {
    deltamirror::Database db(s.mirror(), deltamirror::Database::Mode::ReadWrite);
    db.exec(
        "DELETE FROM t WHERE id = 6; UPDATE t SET n = -1 WHERE id = 8;"
        "INSERT INTO t VALUES(5, 'us', 5, '')");
  }
  const Result wrong = s.verify();
  CHECK(wrong.exit == Exit{3, 0});
  CHECK_THAT(wrong.out,
             Catch::Contains("row id=6 is missing") && Catch::Contains("row id=8 differs in n") &&
                 Catch::Contains("row id=5 is not in PostgreSQL") && Catch::Contains("3 differ"));
  CHECK(s.verify({"--sample", "100%"}).exit == Exit{3, 0});
  CHECK(s.verify({"--repair"}).ok());
  CHECK(s.ids() == s.expected("region = 'eu'"));
}

TEST_CASE("subset: columns, other names and filters follow changes of shape",
          "[mirror][subset][integration]") {
  Subset s;
  std::ofstream(s.dir / "c.json") << R"({"tables": [{"table": "t", "as": "tt",
    "columns": ["id", "n", "region"], "rename": {"n": "count"}, "where": "region = 'eu' AND n > 10",
    "indexes": ["count"]}]})";
  const Result seeded = s.seed({"--config", s.dir / "c.json"});
  INFO(seeded.err);
  REQUIRE(seeded.ok());
  const auto same = [&](const std::string& where) {
    CHECK(s.rows("SELECT id || ' ' || count FROM tt ORDER BY id") ==
          s.source_rows("SELECT id || ' ' || n FROM t WHERE " + where + " ORDER BY id"));
  };
  same("region = 'eu' AND n > 10");
  s.cluster.execute(
      "ALTER TABLE t RENAME region TO area; ALTER TABLE t ADD extra int DEFAULT 5;"
      "UPDATE t SET n = n + 9 WHERE id < 20; ALTER TABLE t ALTER n TYPE bigint;"
      "INSERT INTO t VALUES(500, 'eu', 11, '', 7)");
  REQUIRE(s.run_once().ok());
  CHECK(s.rows("SELECT name FROM pragma_table_info('tt')") == Texts{"id", "count", "area"});
  CHECK(s.source_rows("SELECT id || ' ' || n FROM t WHERE area = 'eu' AND n > 10 ORDER BY id") ==
        s.rows("SELECT id || ' ' || count FROM tt ORDER BY id"));
  s.cluster.execute("UPDATE t SET area = 'us' WHERE id = 500");
  REQUIRE(s.run_once().ok());
  CHECK(s.value("SELECT count(*) FROM tt WHERE id = 500") == "0");
  CHECK(s.verify().ok());
  // What the filter reads is gone.
  s.cluster.execute("ALTER TABLE t DROP area");
  const Result stopped = s.run_to_trouble();
  CHECK(stopped.exit == Exit{3, 0});
  CHECK_THAT(stopped.err, Catch::Contains("seed it again with another where"));
}

TEST_CASE("history: begun again, kept over a drop, removed whole",
          "[mirror][subset][integration]") {
  Subset s;
  const Result seeded = s.seed({"--table", "t", "--columns", "id,n", "--mode", "history"});
  INFO(seeded.err);
  REQUIRE(seeded.ok());
  s.start_run();
  s.cluster.execute(
      "UPDATE t SET n = -1 WHERE id = 1; DELETE FROM t WHERE id = 2;"
      "ALTER TABLE t ADD late int; UPDATE t SET n = -2 WHERE id = 1");
  s.catch_up();
  const auto log = [&] {
    return s.rows(
        "SELECT _action || ' ' || id || ' ' || coalesce(n, '-') FROM t WHERE _action <> "
        "'seed' ORDER BY _c, _s");
  };
  CHECK(log() == Texts{"update 1 -1", "delete 2 -", "update 1 -2"});
  CHECK(s.value("SELECT count(*) FROM t WHERE _action = 'seed'") == "100");
  CHECK(s.value("SELECT count(DISTINCT _lsn) FROM t WHERE _action <> 'seed'") == "1");
  CHECK(s.value("SELECT _time > '2020' FROM t WHERE _action = 'delete'") == "1");
  const Result passed = s.verify();
  INFO(passed.err);
  CHECK(passed.ok());
  CHECK_THAT(passed.out, Catch::Contains("t: passed over, it is a history"));
  run_ok(
      {program("deltamirror"), "reseed", s.mirror(), "--table", "t", "-d", s.cluster.conninfo()});
  CHECK(s.value("SELECT count(*) FROM t WHERE _action = 'seed'") == "99");
  CHECK(log().size() == 3);
  // The beginning is newer than what was there before.
  CHECK(s.value("SELECT max(_c * 1000000 + _s) < (SELECT min(_c * 1000000 + _s) FROM t WHERE "
                "_action = 'seed') FROM t WHERE _action <> 'seed'") == "1");
  s.cluster.execute("DROP TABLE t");
  s.catch_up();
  CHECK(s.value("SELECT _action FROM t ORDER BY _c DESC, _s DESC LIMIT 1") == "drop");
  run_ok({program("deltamirror"), "remove", s.mirror(), "--table", "t"});
  CHECK(s.value("SELECT count(*) FROM sqlite_schema WHERE name GLOB 't*'") == "0");
}

TEST_CASE("config: checked with the database, and written for it",
          "[mirror][config][integration]") {
  Pipeline s;
  s.cluster.execute(
      "CREATE TABLE a(id int PRIMARY KEY, name text, \"Odd\" int);"
      "CREATE TABLE nokey(x int); CREATE VIEW v AS SELECT 1; CREATE SCHEMA ops;"
      "CREATE TABLE indexed(x int NOT NULL, y int UNIQUE); CREATE UNIQUE INDEX by_x ON indexed(x);"
      "CREATE TABLE ops.\"B c\"(id int PRIMARY KEY); CREATE UNLOGGED TABLE u(id int PRIMARY KEY);"
      "CREATE TABLE r(id int PRIMARY KEY) PARTITION BY RANGE(id);"
      "CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (9)");
  const std::string file = s.dir / "c.json";
  const Result init = run({program("deltamirror"), "config", "init", "-d", s.cluster.conninfo()});
  INFO(init.err);
  REQUIRE(init.ok());
  CHECK(init.out ==
        "{\n  \"tables\": [\n    {\"table\":\"a\"},\n    {\"table\":\"r1\"},\n    "
        "{\"table\":\"ops.\\\"B c\\\"\"}\n  ]\n}\n");
  CHECK_THAT(init.err, Catch::Contains("\"public.nokey\": it has no key") &&
                           Catch::Contains("which cannot be followed (1): v") &&
                           Catch::Contains("\"public\".\"indexed\" REPLICA IDENTITY USING INDEX "
                                           "by_x") &&
                           Catch::Contains("\"public.r\" is partitioned") &&
                           Catch::Contains("\"public.u\": it is an unlogged table"));
  std::ofstream(file) << init.out;
  const auto check = [&](const std::string& text) {
    std::ofstream(file) << text;
    return run({program("deltamirror"), "config", "check", file, "-d", s.cluster.conninfo()});
  };
  CHECK(check(init.out).ok());
  const Result wrong = check(R"({"tables": [
  {"table": "aa"}, {"table": "a", "columns": ["id", "nam"]},
  {"table": "nokey"}]})");
  CHECK(wrong.exit == Exit{2, 0});
  CHECK_THAT(wrong.out, Catch::Contains(file + ":2:13: /tables/0/table: table \"public.aa\" does "
                                               "not exist"));
  CHECK_THAT(wrong.out, Catch::Contains(":2:53: /tables/1/columns/1: there is no column \"nam\" "
                                        "(id, name, Odd): did you mean \"name\"?"));
  CHECK_THAT(wrong.out, Catch::Contains(":3:13: /tables/2/table: cannot follow \"public.nokey\""));
  CHECK_THAT(wrong.err, Catch::Contains("has 3 problems"));
  CHECK_THAT(check(R"({"tables": [{"table": "a", "where": "odd > 5"}]})").out,
             Catch::Contains("/tables/0/where: where: the table has no column \"odd\""));
  CHECK_THAT(check(R"({"tables": [{"table": "a", "indexes": ["nmae"]}]})").out,
             Catch::Contains("did you mean \"name\"?"));
  CHECK(run({program("deltamirror"), "config", "schema"}).out.starts_with("{\n  \"$schema\""));
}

TEST_CASE("subset: a role with rights to some columns seeds them, copies and compares them",
          "[mirror][subset][integration]") {
  Subset s;
  s.cluster.execute(
      "CREATE TABLE p(id int PRIMARY KEY, v text, secret text);"
      "INSERT INTO p VALUES(1, 'one', 'x'); CREATE TABLE whole(id int PRIMARY KEY);"
      "CREATE ROLE limited LOGIN; GRANT SELECT(id, region, n) ON t TO limited;"
      "GRANT SELECT(id, v) ON p TO limited; GRANT SELECT ON whole TO limited");
  const std::string as_limited = s.cluster.conninfo("postgres", "limited");
  std::ofstream(s.dir / "c.json") << R"({"tables": [
      {"table": "t", "columns": ["id", "region", "n"], "where": "region = 'eu'"},
      {"table": "p", "columns": ["id", "v"]}, {"table": "whole"}]})";
  const Texts with_config = {"--config", (s.dir / "c.json").string(), "-d", as_limited};

  // Nothing is read between a TRUNCATE that is under way and its end.
  Session other = s.cluster.session();
  other.execute("BEGIN; TRUNCATE t; INSERT INTO t SELECT i, 'eu', i FROM generate_series(1, 10) i");
  Texts argv = {program("deltamirror"), "seed", s.mirror(), "--daystream", s.stream()};
  argv.insert(argv.end(), with_config.begin(), with_config.end());
  Process seeding(argv);
  const std::string waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
  INFO(seeding.err());
  REQUIRE(eventually([&] { return s.cluster.scalar(waits) != "0"; }));
  other.execute("COMMIT");
  REQUIRE(seeding.wait() == Exit{0, 0});
  CHECK(s.ids() == s.expected("region = 'eu'"));
  CHECK(s.rows("SELECT id || v FROM p") == Texts{"1one"});

  s.runner.emplace(Texts{program("deltamirror"), "run", s.mirror(), "--daystream", s.stream(), "-d",
                         as_limited});
  s.cluster.execute("UPDATE t SET n = n + 1; INSERT INTO p VALUES(2, 'two', 'y')");
  s.catch_up();
  for (const char* const how : {"--whole", ""}) {
    Texts reseed = {program("deltamirror"), "reseed", s.mirror(), "--table", "t", "--table", "p"};
    if (*how != 0) reseed.emplace_back(how);
    const Result copied = run(reseed);
    INFO(how << copied.err << s.runner->err());
    CHECK(copied.ok());
  }
  CHECK(s.ids() == s.expected("region = 'eu'"));
  CHECK(s.rows("SELECT id || v FROM p ORDER BY 1") == Texts{"1one", "2two"});
  const Result right = run(
      {program("deltamirror"), "verify", s.mirror(), "--daystream", s.stream(), "-d", as_limited});
  INFO(right.out << right.err);
  CHECK(right.ok());
  CHECK(s.cluster.scalar("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'") ==
        "0");
  s.runner->signal(SIGTERM);
  CHECK(s.runner->wait() == Exit{0, 0});

  // A right to no column, or not to a key, is none.
  s.cluster.execute("REVOKE ALL ON t FROM limited; REVOKE ALL(id, region, n) ON t FROM limited");
  const Result refused = run({program("deltamirror"), "seed", (s.dir / "n.db").string(), "--table",
                              "t", "--daystream", s.stream(), "-d", as_limited});
  CHECK(refused.exit == Exit{3, 0});
  CHECK_THAT(refused.err, Catch::Contains("permission denied for table t"));
}
