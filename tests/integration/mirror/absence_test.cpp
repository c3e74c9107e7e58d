// Tables that are gone for a while, or cannot be followed as they are, and come back by themselves
// once they can.
#include "shards.h"
#include "troubled.h"

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>

using namespace support;

TEST_CASE("trouble: a table that goes is waited for, however it comes back",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t VALUES(1, 'one');"
      "CREATE TABLE o(id int PRIMARY KEY)");
  s.seed_tables({"t", "o"});
  s.start(true);
  const std::string again = "CREATE TABLE t(id int PRIMARY KEY, v text)";
  s.cluster.execute("DROP TABLE t");
  s.cluster.execute("INSERT INTO o VALUES(1)");
  s.catch_up();
  CHECK(s.state("t") == "waiting");
  CHECK_FALSE(s.is_there("t"));
  CHECK(s.value("SELECT count(*) FROM o") == "1");

  SECTION("made again") {
    s.cluster.execute(again);
    s.cluster.execute("INSERT INTO t VALUES(5, 'five')");
  }
  SECTION("under another name first") {
    s.cluster.execute("CREATE TABLE n(id int PRIMARY KEY, v text); INSERT INTO n VALUES(9, 'n')");
    s.cluster.execute("ALTER TABLE n RENAME TO t");
  }
  SECTION("while the mirror is down") {
    s.end();
    s.cluster.execute(again);
    s.cluster.execute("INSERT INTO t VALUES(6, 'six')");
    s.start(true);
  }
  SECTION("and goes and comes once more") {
    s.cluster.execute(again);
    s.cluster.execute("DROP TABLE t");
    s.cluster.execute(again + "; INSERT INTO t VALUES(7, 'seven')");
  }
  s.check_equal("t", "id || coalesce(v, '-')");
  s.cluster.execute("INSERT INTO t VALUES(100, 'followed')");
  s.check_equal("t", "id || coalesce(v, '-')");
  CHECK(s.state("t") == "following");
  s.end();
}

TEST_CASE("trouble: unlogged and back", "[mirror][trouble][integration]") {
  Troubled s("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES(1)");
  s.seed_tables({"t"});
  s.start(true);
  s.cluster.execute("ALTER TABLE t SET UNLOGGED");
  s.cluster.execute("INSERT INTO t VALUES(2)");
  s.cluster.execute("ALTER TABLE t SET LOGGED");
  s.cluster.execute("INSERT INTO t VALUES(3)");
  s.check_equal("t", "id");
  s.end();
}

TEST_CASE("trouble: out of the stream's filter by a rename, and back",
          "[mirror][trouble][integration]") {
  Troubled s("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES(1)", {"--tables", "t,o"});
  s.seed_tables({"t"});
  s.start(true);
  s.cluster.execute("ALTER TABLE t RENAME TO away");
  s.cluster.execute("INSERT INTO away VALUES(2)");
  CHECK(eventually([&] { return s.state("t") == "waiting"; }));
  CHECK_FALSE(s.is_there("t"));
  s.cluster.execute("ALTER TABLE away RENAME TO t");
  s.check_equal("t", "id");
  s.end();
}

TEST_CASE("trouble: a key that goes parks its table until it is back",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE t(id int PRIMARY KEY, v int); INSERT INTO t VALUES(1, 1);"
      "CREATE TABLE o(id int PRIMARY KEY)");
  s.seed_tables({"t", "o"});
  s.start(true);
  s.cluster.execute("ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t REPLICA IDENTITY NOTHING");
  s.cluster.execute("UPDATE t SET v = 2");
  s.cluster.execute("INSERT INTO o VALUES(1)");
  s.check_equal("o", "id");
  CHECK(eventually([&] { return s.state("t") == "parked"; }));
  CHECK_FALSE(s.is_there("t"));
  CHECK_THAT(s.value("SELECT reason || hint FROM _deltamirror_tables WHERE name = 't'"),
             Catch::Contains("public.t") && Catch::Contains("primary key"));
  s.cluster.execute("ALTER TABLE t ADD PRIMARY KEY(id); ALTER TABLE t REPLICA IDENTITY DEFAULT");
  s.check_equal("t", "id || ' ' || v");
  s.end();
}

TEST_CASE("trouble: a table whose rows SQLite cannot tell apart is parked, however it came to that",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE t(rowid int, oid text); ALTER TABLE t REPLICA IDENTITY FULL;"
      "INSERT INTO t VALUES(1, 'a'), (1, 'a'); CREATE TABLE o(id int PRIMARY KEY)");
  s.seed_tables({"t", "o"});
  s.start(true);
  s.cluster.execute("ALTER TABLE t ADD _rowid_ int");
  s.cluster.execute("UPDATE t SET oid = 'b'; INSERT INTO o VALUES(1)");
  s.check_equal("o", "id");
  CHECK(eventually([&] { return s.state("t") == "parked"; }));
  CHECK_FALSE(s.is_there("t"));
  CHECK_THAT(s.value("SELECT reason || hint FROM _deltamirror_tables WHERE name = 't'"),
             Catch::Contains("all three names of SQLite's rowid") && Catch::Contains("\"rename\""));
  s.cluster.execute("ALTER TABLE t RENAME _rowid_ TO n");
  s.check_equal("t", "oid");
  s.end();
}

TEST_CASE("trouble: rows that have no key are told apart beside columns that only one source has",
          "[mirror][trouble][sources][integration]") {
  const Together together = GENERATE(Together::Shared, Together::Prefixed);
  CAPTURE(static_cast<int>(together));
  Shards s(
      "CREATE TABLE t(n int, oid text); ALTER TABLE t REPLICA IDENTITY FULL;"
      "INSERT INTO t VALUES(1, 'a'), (1, 'a'), (1, 'a'), (2, 'b'); CREATE TABLE o(id int PRIMARY "
      "KEY)");
  s.write_config({{{"table", "t"}}, {{"table", "o"}}}, together);
  s.seed();
  s.leave_out_connections();  // so that nothing is mended by a copy
  s.start_run();
  const auto change = [&](const std::string& name) {
    s.cluster.execute(
        "DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t WHERE n = 1);"
        "UPDATE t SET oid = oid || 'x' WHERE n = 2; INSERT INTO o SELECT count(*) FROM o",
        name);
  };
  for (const std::string& name : s.names) change(name);
  s.check_equal("t", "n || oid");
  s.cluster.execute("ALTER TABLE t ADD rowid int DEFAULT 7", "a");
  s.catch_up("a");
  for (const std::string& name : s.names) change(name);
  s.check_equal("t", "n || oid");
  s.check_equal("t", "rowid", {"a"});
  // Now SQLite cannot tell its rows apart, beside the others' or alone.
  s.cluster.execute("ALTER TABLE t ADD _rowid_ int", "a");
  CHECK(eventually([&] { return s.state("a", "t") == "parked"; }));
  CHECK_THAT(s.value("SELECT reason || hint FROM _deltamirror_tables WHERE name = '" +
                     s.name_of("a", "t") + "' AND source = 'a'"),
             Catch::Contains("rowid") && Catch::Contains("\"rename\""));
  for (const std::string& name : s.names) change(name);
  s.check_equal("o", "id");
  s.check_equal("t", "n || oid", {"b", "c"});
  s.end_run();
}

TEST_CASE("trouble: a table that somebody has dropped here is copied again",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t VALUES(1, 'a');"
      "CREATE TABLE o(id int PRIMARY KEY)");
  s.seed_tables({"t", "o"});
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite).exec("DROP TABLE t");
  s.start(false);
  s.cluster.execute("INSERT INTO o VALUES(1)");
  s.check_equal("o", "id");
  CHECK(eventually([&] { return s.state("t") == "parked"; }));
  CHECK_THAT(s.value("SELECT reason FROM _deltamirror_tables WHERE name = 't'"),
             Catch::Contains("no such table: t"));
  s.end();
  s.start(true);
  s.check_equal("t", "id || v");
  s.end();
}

TEST_CASE("trouble: a chosen column that was dropped is there again once the table has it",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE t(id int PRIMARY KEY, v text, w int, x int); INSERT INTO t VALUES(1, 'a', 2, "
      "3)");
  support::write_file(s.dir / "c.json", R"({"tables": [{"table": "t", "columns": ["id", "v", "w"],
    "rename": {"w": "number"}, "types": {"number": "text"}, "indexes": ["v"]}]})");
  const Result seeded = s.seed({"--config", s.dir / "c.json"});
  INFO(seeded.err);
  REQUIRE(seeded.ok());
  s.start(false);
  s.cluster.execute("ALTER TABLE t DROP v, DROP w, DROP x");
  s.cluster.execute(
      "ALTER TABLE t ADD x int DEFAULT 3, ADD w int DEFAULT 4, ADD v text DEFAULT 'b'");
  s.cluster.execute("INSERT INTO t VALUES(2, 5, 6, 'c')");
  s.catch_up();
  CHECK(s.rows("SELECT id || v || number || typeof(number) FROM t ORDER BY id") ==
        Texts{"1b4text", "2c6text"});
  CHECK(s.value("SELECT group_concat(name) FROM pragma_table_info('t')") == "id,number,v");
  s.end();
  // Said before anything is copied.
  support::write_file(s.dir / "c.json", R"({"tables": [{"table": "t", "indexes": ["gone"]}]})");
  const Result other =
      support::run({program("deltamirror"), "seed", s.dir / "other.db", "-d", s.cluster.conninfo(),
                    "--daystream", s.stream(), "--config", s.dir / "c.json"});
  CHECK(other.exit == Exit{2, 0});
  CHECK_THAT(other.err,
             Catch::Contains(R"("indexes" of table "t" names a column "gone" that it has not)"));
}

TEST_CASE("trouble: a column that was chosen is the one that has its name",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE t(id int PRIMARY KEY, v text, w text); INSERT INTO t VALUES(1, 'a', 'b')");
  support::write_file(s.dir / "c.json", R"({"tables": [{"table": "t", "columns": ["id", "v"]}]})");
  REQUIRE(s.seed({"--config", s.dir / "c.json"}).ok());
  const auto columns = [&] {
    return s.value("SELECT group_concat(name) FROM pragma_table_info('t')");
  };
  s.start(false);
  s.cluster.execute("ALTER TABLE t RENAME v TO old");
  s.catch_up();
  CHECK(columns() == "id,old");
  s.cluster.execute(
      "ALTER TABLE t ADD v text DEFAULT 'new'; INSERT INTO t VALUES(2, 'c', 'd', 'e')");
  s.catch_up();
  CHECK(columns() == "id,v");
  s.check_equal("t", "id || v");
  // No line has the rows of the column that is called so now.
  s.cluster.execute("BEGIN; ALTER TABLE t RENAME v TO x; ALTER TABLE t RENAME w TO v; COMMIT");
  CHECK(eventually([&] { return s.state("t") == "parked"; }));
  CHECK_THAT(s.value("SELECT reason FROM _deltamirror_status"),
             Catch::Contains("column \"v\" of table t is another column now"));
  s.end();
  s.start(true);
  s.check_equal("t", "id || v");
  CHECK(columns() == "id,v");
  s.end();
}

TEST_CASE("trouble: a type that was asked for and fits no more is named",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE t(id int PRIMARY KEY, p text, n int); INSERT INTO t VALUES(1, '5', 6);"
      "CREATE TABLE u(id int PRIMARY KEY, p text); INSERT INTO u VALUES(1, '5')");
  support::write_file(s.dir / "c.json", R"({"tables": [{"table": "t", "types": {"n": "integer"}},
    {"table": "u", "types": {"p": "integer"}}]})");
  REQUIRE(s.seed({"--config", s.dir / "c.json"}).ok());
  s.start(true);
  s.cluster.execute("INSERT INTO u VALUES(2, 'six')");
  s.cluster.execute("ALTER TABLE t DROP n; ALTER TABLE t ADD n text DEFAULT 'seven'");
  CHECK(eventually([&] { return s.state("t") == "parked" && s.state("u") == "parked"; }));
  INFO(s.runner->err());
  CHECK(s.rows("SELECT reason FROM _deltamirror_status ORDER BY name") ==
        Texts{"column \"n\" is integer here, as \"types\" says, and has a value that is not",
              "column \"p\" is integer here, as \"types\" says, and has a value that is not"});
  CHECK_THAT(s.runner->err(), !Catch::Contains("as PostgreSQL writes it"));
  CHECK_THAT(s.value("SELECT hint FROM _deltamirror_status WHERE name = 't'"),
             Catch::Contains("give it another type in \"types\""));
  s.cluster.execute("UPDATE u SET p = 6 WHERE id = 2; UPDATE t SET n = 7");
  s.check_equal("u", "id || p");
  s.check_equal("t", "id || p || n");
  s.end();
}

TEST_CASE("trouble: a key whose column is not mirrored is named",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE t(id int PRIMARY KEY, o int NOT NULL, v text); INSERT INTO t VALUES(1, 2, "
      "'a')");
  support::write_file(s.dir / "c.json", R"({"tables": [{"table": "t", "columns": ["id", "v"]}]})");
  REQUIRE(s.seed({"--config", s.dir / "c.json"}).ok());
  s.start(false);
  s.cluster.execute(
      "BEGIN; ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY(o); COMMIT;"
      "UPDATE t SET v = 'b'");
  CHECK(eventually([&] { return s.state("t") == "parked"; }));
  CHECK(s.value("SELECT reason FROM _deltamirror_status") ==
        "the key of table t has the column \"o\" now, which is not mirrored");
  CHECK_THAT(s.value("SELECT hint FROM _deltamirror_status"), Catch::Contains("add it to"));
  s.end();
}

TEST_CASE("trouble: wait knows a table by each of its names", "[mirror][trouble][integration]") {
  Troubled s("CREATE SCHEMA ops; CREATE TABLE ops.t(id int PRIMARY KEY); CREATE TABLE u(id int)");
  s.seed_tables({"ops.t"});
  s.start(false);
  s.cluster.execute("DROP TABLE ops.t; CREATE TABLE ops.t(id int PRIMARY KEY)");
  s.cluster.execute("INSERT INTO ops.t VALUES(1)");
  CHECK(eventually([&] { return s.state("ops_t") == "parked"; }));
  const std::string lsn = s.cluster.scalar("SELECT pg_current_wal_insert_lsn()");
  for (const char* name : {"ops_t", "ops.t", "OPS.t"}) {
    const Result waited = support::run({program("deltamirror"), "wait", s.mirror(), "--lsn", lsn,
                                        "--table", name, "--timeout", "20"});
    CAPTURE(name, waited.err);
    CHECK(waited.exit == Exit{1, 0});
    CHECK_THAT(waited.err, Catch::Contains("table ops_t is parked"));
  }
  s.end();
}

TEST_CASE("trouble: a history is called as readers call it", "[mirror][trouble][integration]") {
  Troubled s("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES(1)");
  support::write_file(s.dir / "c.json", R"({"tables": [{"table": "t", "mode": "history"}]})");
  REQUIRE(s.seed({"--config", s.dir / "c.json"}).ok());
  s.start(true);
  CHECK(s.value("SELECT name FROM _deltamirror_status") == "t");
  s.cluster.execute("BEGIN; DROP TABLE t; CREATE TABLE t(id int PRIMARY KEY); COMMIT");
  s.cluster.execute("INSERT INTO t VALUES(1), (2)");
  CHECK(
      eventually([&] { return s.runner->err().find("t: 2 rows in place") != std::string::npos; }));
  CHECK(eventually([&] { return s.state("t_seed") == "following"; }));
  CHECK_THAT(s.runner->err(), !Catch::Contains("t_seed"));
  s.end();
}

TEST_CASE("trouble: a partitioned table comes back once its partitions can be followed",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE t(id int PRIMARY KEY) PARTITION BY RANGE (id);"
      "CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (10);"
      "CREATE TABLE high PARTITION OF t FOR VALUES FROM (10) TO (20);"
      "INSERT INTO t VALUES(1), (11)",
      {"--partition-root"});
  s.seed_tables({"t"});
  s.start(true, {"--log-level", "debug"});
  s.cluster.execute("ALTER TABLE high SET UNLOGGED");
  CHECK(eventually([&] { return s.state("t") == "parked"; }));
  // Who looks for it by the clock does so after 1, 2, 4 … s.
  const auto tries = [&] {
    std::size_t count = 0;
    const std::string err = s.runner->err();
    for (std::size_t at = 0; (at = err.find("copying t from", at)) != std::string::npos; ++at)
      ++count;
    return count;
  };
  CHECK(eventually([&] { return tries() >= 5; }));
  SECTION("as it is logged again") {
    s.cluster.execute("ALTER TABLE high SET LOGGED");
  }
  SECTION("as it is detached") {
    s.cluster.execute("ALTER TABLE t DETACH PARTITION high");
  }
  SECTION("as it is dropped") {
    s.cluster.execute("DROP TABLE high");
  }
  s.cluster.execute("INSERT INTO t VALUES(2)");
  const std::size_t before = tries();
  s.check_equal("t", "id");
  CHECK(tries() <= before + 1);
  s.end();
}

TEST_CASE("trouble: a table that became a partition of a new one of its name is not the wished one",
          "[mirror][trouble][integration]") {
  const bool connected = GENERATE(true, false);
  const bool at_once = GENERATE(true, false);
  CAPTURE(connected, at_once);
  Troubled s("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES(1)");
  s.seed_tables({"t"});
  s.start(connected);
  const std::vector<std::string> steps = {
      "ALTER TABLE t RENAME TO t_old", "CREATE TABLE t(id int PRIMARY KEY) PARTITION BY RANGE (id)",
      "ALTER TABLE t ATTACH PARTITION t_old FOR VALUES FROM (0) TO (100)",
      "CREATE TABLE t_new PARTITION OF t FOR VALUES FROM (100) TO (200)"};
  std::string all;
  for (const std::string& step : steps) all += step + ";";
  if (at_once) {
    s.cluster.execute("BEGIN; " + all + " COMMIT");
  } else {
    for (const std::string& step : steps) s.cluster.execute(step);
  }
  s.cluster.execute("INSERT INTO t VALUES(2), (101)");
  CHECK(eventually([&] { return s.state("t") == "parked"; }));
  CHECK(s.value("SELECT count(*) FROM _deltamirror_tables") == "1");
  const support::Result status = support::run({program("deltamirror"), "status", s.mirror()});
  INFO(status.out);
  CHECK(status.exit.code != 0);
  CHECK_THAT(status.out, Catch::Contains("partition"));
  s.end();
}

TEST_CASE("absence: what a transaction does to a table under another name is not lost",
          "[mirror][trouble][integration]") {
  const Texts filter = GENERATE(Texts{"--tables", "t"}, Texts{"-o", "exclude-tables=z,o.*"});
  CAPTURE(filter);
  Troubled s("CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t VALUES(1, 'x'), (2, 'y')",
             filter);
  s.seed_tables({"t"});
  s.start(true);
  for (const char* const change :
       {"ALTER TABLE t RENAME TO z; INSERT INTO z VALUES(3, 'a'); ALTER TABLE z RENAME TO t",
        "CREATE SCHEMA o; ALTER TABLE t SET SCHEMA o; DELETE FROM o.t WHERE id = 2; "
        "ALTER TABLE o.t SET SCHEMA public",
        "ALTER TABLE t RENAME TO z; TRUNCATE z; ALTER TABLE z RENAME TO t"}) {
    CAPTURE(change);
    s.cluster.execute(std::string("BEGIN; ") + change + "; COMMIT");
    s.check_equal("t", "id || v");
  }
  s.end();
}
