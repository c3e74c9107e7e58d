// What a mirror does when one of its tables cannot be followed: the others go on, and the table
// comes back by itself.
#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>

#include "pipeline.h"
#include "support/cluster.h"
#include "support/process.h"
#include "support/slot.h"

using namespace support;
using Texts = std::vector<std::string>;

namespace {

struct Troubled : Pipeline {
  explicit Troubled(const std::string& schema, const Texts& stream_flags = {}) {
    cluster.execute(schema);
    Texts argv = {program("deltastream"), "-d", cluster.conninfo(), "-S", "mirror", "-D", stream(),
                  "--create-slot"};
    argv.insert(argv.end(), stream_flags.begin(), stream_flags.end());
    streamer.emplace(argv);
    REQUIRE(eventually([&] { return std::filesystem::exists(dir / "stream/durable"); }));
  }
  void seed_tables(const Texts& tables) {
    Texts flags;
    for (const std::string& table : tables) flags.insert(flags.end(), {"--table", table});
    const Result seeded = seed(flags);
    INFO(seeded.err);
    REQUIRE(seeded.ok());
  }
  // `connected`: it can copy.
  void start(bool connected, const Texts& more = {}) {
    Texts argv = {program("deltamirror"), "run", mirror(), "--daystream", stream()};
    if (connected) argv.insert(argv.end(), {"-d", cluster.conninfo()});
    argv.insert(argv.end(), more.begin(), more.end());
    runner.emplace(argv);
  }
  void end() {
    runner->signal(SIGTERM);
    INFO(runner->err());
    CHECK(runner->wait() == Exit{0, 0});
  }
  void lose_slot() {
    streamer->signal(SIGTERM);
    streamer->wait();
    drop_slot(cluster, "mirror");
  }
  std::string state(const std::string& table) const {
    return value("SELECT state FROM _deltamirror_tables WHERE name = '" + table + "'");
  }
  bool is_there(const std::string& table) const {
    return value("SELECT count(*) FROM sqlite_schema WHERE name = '" + table + "'") == "1";
  }
  // Soon all rows are PostgreSQL's, of tables whose rows read alike as text.
  void check_equal(const std::string& table, const std::string& columns) const {
    // In one transaction, as the table may go between two.
    const auto here = [&]() -> Texts {
      deltamirror::Database db = open();
      db.exec("BEGIN");
      if (db.value("SELECT count(*) FROM sqlite_schema WHERE name = '" + table + "'") != "1") {
        return {"not there"};
      }
      Texts out;
      deltamirror::Statement select =
          db.prepare("SELECT " + columns + " FROM " + table + " ORDER BY 1");
      while (select.step()) out.push_back(select.is_null(0) ? "NULL" : select.text(0));
      return out;
    };
    const auto there = [&] {
      return source_rows("SELECT " + columns + " FROM " + table + " ORDER BY 1");
    };
    INFO(runner->err());
    CHECK(eventually([&] { return here() == there(); }));
    CHECK(here() == there());
  }
};

}  // namespace

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

TEST_CASE("trouble: eight tables need a copy at once", "[mirror][trouble][integration]") {
  std::string schema;
  std::string change;
  Texts tables;
  for (int i = 0; i < 8; ++i) {
    tables.push_back("t" + std::to_string(i));
    schema += "CREATE TABLE " + tables.back() + "(id int PRIMARY KEY, v text); INSERT INTO " +
              tables.back() + " VALUES(1, 'a');";
    change += "DROP TABLE " + tables.back() + "; CREATE TABLE " + tables.back() +
              "(id int PRIMARY KEY, v text); INSERT INTO " + tables.back() + " VALUES(2, 'b');";
  }
  Troubled s(schema);
  s.seed_tables(tables);
  s.start(true);
  s.cluster.execute(change);  // in one transaction
  for (const std::string& table : tables) s.check_equal(table, "id || v");
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

TEST_CASE("trouble: without a connection one table is parked and the others go on",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t(id int PRIMARY KEY, m mood);"
      "INSERT INTO t VALUES(1, 'a'); CREATE TABLE o(id int PRIMARY KEY)");
  s.seed_tables({"t", "o"});
  s.start(false);
  s.cluster.execute("ALTER TYPE mood RENAME VALUE 'a' TO 'b'");
  s.cluster.execute("INSERT INTO o VALUES(1)");
  s.catch_up();
  CHECK(eventually([&] { return s.state("t") == "parked"; }));
  CHECK_FALSE(s.is_there("t"));
  CHECK(s.value("SELECT count(*) FROM o") == "1");
  CHECK_THAT(s.value("SELECT hint FROM _deltamirror_tables WHERE name = 't'"),
             Catch::Contains("-d CONNINFO"));
  s.end();
  s.start(true);
  s.check_equal("t", "m");
  s.end();
}

TEST_CASE("trouble: --on-trouble keep leaves the rows as they were at the last commit",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t(id int PRIMARY KEY, m mood);"
      "INSERT INTO t VALUES(1, 'a'); CREATE TABLE o(id int PRIMARY KEY)");
  s.seed_tables({"t", "o"});
  s.start(false, {"--on-trouble", "keep"});
  s.cluster.execute("ALTER TYPE mood RENAME VALUE 'a' TO 'b'; INSERT INTO o VALUES(1)");
  s.cluster.execute("INSERT INTO t VALUES(2, 'b')");
  s.catch_up();
  CHECK(eventually([&] { return s.state("t") == "parked"; }));
  CHECK(s.rows("SELECT id || m FROM t") == Texts{"1a"});
  CHECK(s.value("SELECT count(*) FROM o") == "1");
  s.end();
}

TEST_CASE("trouble: what becomes of a table in trouble may be said in the configuration",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t(id int PRIMARY KEY, m mood);"
      "INSERT INTO t VALUES(1, 'a'); CREATE TABLE o(id int PRIMARY KEY)");
  const std::string config = (s.dir / "c.json").string();
  const std::string tables = R"("tables": [{"table": "t"}, {"table": "o"}])";
  std::ofstream(config) << "{\"on_trouble\": \"keep\", " << tables << "}";
  REQUIRE(s.seed({"--config", config}).ok());
  s.start(false, {"--config", config});
  s.cluster.execute("ALTER TYPE mood RENAME VALUE 'a' TO 'b'; INSERT INTO o VALUES(1)");
  s.cluster.execute("INSERT INTO t VALUES(2, 'b')");
  s.catch_up();
  CHECK(eventually([&] { return s.state("t") == "parked"; }));
  CHECK(s.rows("SELECT id || m FROM t") == Texts{"1a"});
  s.end();
}

TEST_CASE("trouble: a name that SQLite does not allow or has is not taken over",
          "[mirror][trouble][integration]") {
  Troubled s("CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE a(id int PRIMARY KEY)");
  s.seed_tables({"t", "a"});
  s.start(true);
  for (const char* name : {"\"A\"", "sqlite_x", "_deltamirror_checkpoint"}) {
    s.cluster.execute(std::string("ALTER TABLE t RENAME TO ") + name);
    s.cluster.execute(std::string("INSERT INTO ") + name + " SELECT count(*) FROM " + name);
    s.catch_up();
    CHECK(s.rows("SELECT id FROM t ORDER BY 1") ==
          s.source_rows(std::string("SELECT id FROM ") + name + " ORDER BY 1"));
    s.cluster.execute(std::string("ALTER TABLE ") + name + " RENAME TO t");
  }
  s.check_equal("t", "id");
  s.end();
}

TEST_CASE("trouble: an unchanged configuration changes nothing, also of a renamed table",
          "[mirror][trouble][integration]") {
  Troubled s("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES(1)");
  const std::string config = (s.dir / "c.json").string();
  std::ofstream(config) << R"({"tables": [{"table": "t"}]})";
  REQUIRE(s.seed({"--config", config}).ok());
  s.start(true, {"--config", config});
  s.cluster.execute("ALTER TABLE t RENAME TO t2");
  s.catch_up();
  s.runner->signal(SIGHUP);
  s.cluster.execute("INSERT INTO t2 VALUES(2)");
  s.check_equal("t2", "id");
  s.end();
  s.start(true, {"--config", config});
  s.cluster.execute("INSERT INTO t2 VALUES(3)");
  s.check_equal("t2", "id");
  s.end();
}

TEST_CASE("trouble: a configuration may name a table that comes later",
          "[mirror][trouble][integration]") {
  Troubled s("CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE n(id int PRIMARY KEY)");
  const std::string config = (s.dir / "c.json").string();
  std::ofstream(config) << R"({"tables": [{"table": "t"}]})";
  REQUIRE(s.seed({"--config", config}).ok());
  s.start(true, {"--config", config});
  s.catch_up();
  std::ofstream(config) << R"({"tables": [{"table": "t"}, {"table": "n"}, {"table": "later"}]})";
  s.runner->signal(SIGHUP);
  s.cluster.execute("INSERT INTO n VALUES(1)");
  s.check_equal("n", "id");
  CHECK(eventually([&] { return s.state("later") == "waiting"; }));
  s.cluster.execute("CREATE TABLE later(id int PRIMARY KEY); INSERT INTO later VALUES(1)");
  s.check_equal("later", "id");
  s.end();
}

TEST_CASE("trouble: a trigger whose column goes is left out, and the table is followed",
          "[mirror][trouble][integration]") {
  Troubled s("CREATE TABLE t(id int PRIMARY KEY, x int)");
  s.seed_tables({"t"});
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec(
          "CREATE TABLE seen(x); CREATE TRIGGER note AFTER INSERT ON t BEGIN INSERT INTO seen "
          "VALUES(new.x); END; CREATE TRIGGER count AFTER INSERT ON t BEGIN INSERT INTO seen "
          "VALUES('id ' || new.id); END");
  s.start(true);
  s.cluster.execute("ALTER TABLE t DROP x; INSERT INTO t VALUES(1)");
  s.check_equal("t", "id");
  CHECK(s.rows("SELECT x FROM seen") == Texts{"id 1"});
  CHECK_THAT(s.runner->err(), Catch::Contains("left out trigger"));
  s.end();
}

TEST_CASE("trouble: a gap heals with a connection", "[mirror][trouble][integration]") {
  Troubled s("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)");
  s.seed_tables({"t"});
  s.start(true);
  s.catch_up();
  s.lose_slot();
  s.cluster.execute("DELETE FROM t WHERE id < 10; INSERT INTO t VALUES(200)");
  run_ok({program("deltastream"), "-d", s.cluster.conninfo(), "-S", "mirror", "-D", s.stream(),
          "--recreate-slot"});
  s.streamer.emplace(
      Texts{program("deltastream"), "-d", s.cluster.conninfo(), "-S", "mirror", "-D", s.stream()});
  s.cluster.execute("INSERT INTO t VALUES(300)");
  s.check_equal("t", "id");
  s.end();
}

TEST_CASE("trouble: a stream that was begun again is followed from a copy of all tables",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100);"
      "CREATE TABLE o(id int PRIMARY KEY)");
  s.seed_tables({"t", "o"});
  s.start(true);
  s.catch_up();
  s.end();
  s.lose_slot();
  std::filesystem::remove_all(s.stream());
  s.cluster.execute("DELETE FROM t WHERE id < 10; INSERT INTO o VALUES(1)");
  s.streamer.emplace(Texts{program("deltastream"), "-d", s.cluster.conninfo(), "-S", "mirror", "-D",
                           s.stream(), "--create-slot"});
  REQUIRE(eventually([&] { return std::filesystem::exists(s.dir / "stream/durable"); }));
  s.cluster.execute("INSERT INTO t VALUES(200)");

  s.start(false);
  CHECK(s.runner->wait() == Exit{3, 0});
  CHECK_THAT(s.runner->err(), Catch::Contains("give \"run\" a -d CONNINFO"));
  CHECK(s.value("SELECT count(*) FROM t") == "100");

  s.start(true);
  s.check_equal("t", "id");
  s.check_equal("o", "id");
  s.cluster.execute("INSERT INTO t VALUES(300)");
  s.check_equal("t", "id");
  s.end();
  s.start(true);  // from where it is now
  s.cluster.execute("INSERT INTO o VALUES(2)");
  s.check_equal("o", "id");
  CHECK_THAT(s.runner->err(), !Catch::Contains("copying"));
  s.end();
}

TEST_CASE("trouble: who runs to an LSN with a connection ends with all tables or says why not",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t(id int PRIMARY KEY, m mood);"
      "INSERT INTO t VALUES(1, 'a'); CREATE TABLE o(id int PRIMARY KEY)");
  s.seed_tables({"t", "o"});
  s.cluster.execute("ALTER TYPE mood RENAME VALUE 'a' TO 'b'");
  const std::string until = s.cluster.scalar("SELECT pg_current_wal_flush_lsn()");
  // The copy sees these, so that the mirror has to go further than it was asked to.
  s.cluster.execute("INSERT INTO t VALUES(2, 'b'); INSERT INTO o VALUES(1)");
  s.cluster.execute("INSERT INTO o VALUES(2)");
  const auto run_with = [&](const std::string& conninfo, const Texts& end) {
    Texts argv = {
        program("deltamirror"), "run", s.mirror(), "--daystream", s.stream(), "-d", conninfo};
    argv.insert(argv.end(), end.begin(), end.end());
    return run(argv);
  };
  const Result failed = run_with("host=" + (s.dir / "nobody").string(), {"--once"});
  CHECK(failed.exit == Exit{1, 0});
  CHECK_THAT(failed.err, Catch::Contains("could not connect"));
  const Result done = run_with(s.cluster.conninfo(), {"--until-lsn", until});
  INFO(done.err);
  CHECK(done.ok());
  CHECK(s.rows("SELECT id || m FROM t") == Texts{"1b", "2b"});
  CHECK(s.rows("SELECT id FROM o").size() >= 1);
}

TEST_CASE("trouble: an index of the configuration goes with it, whatever it was called after",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE t(id int PRIMARY KEY, v text, w text); CREATE TABLE o(id int PRIMARY KEY)");
  const std::string config = (s.dir / "c.json").string();
  std::ofstream(config) << R"({"tables": [{"table": "t", "indexes": [["v"], ["w"]]}]})";
  REQUIRE(s.seed({"--config", config}).ok());
  s.start(true, {"--config", config});
  s.cluster.execute("ALTER TABLE t RENAME v TO x; INSERT INTO t VALUES(1, 'a', 'b')");
  s.catch_up();
  const auto indexes = [&] {
    return s.value("SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL");
  };
  CHECK(indexes() == "2");
  SECTION("when the configuration lets it go") {
    std::ofstream(config) << R"({"tables": [{"table": "t", "indexes": [["w"]]}]})";
    s.runner->signal(SIGHUP);
    CHECK(eventually([&] { return indexes() == "1"; }));
  }
  SECTION("when the table goes and comes") {
    s.cluster.execute("DROP TABLE t; CREATE TABLE t(id int PRIMARY KEY, v text, w text)");
    s.check_equal("t", "id");
    CHECK(indexes() == "2");
  }
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
  s.start(true);
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

namespace {

// Tables a and b, the one called "z" here, so that their wishes cannot be exchanged.
void seed_a_as_z(Troubled& s) {
  const std::string config = (s.dir / "c.json").string();
  std::ofstream(config) << R"({"tables": [{"table": "a", "as": "z"}, {"table": "b"}]})";
  REQUIRE(s.seed({"--config", config}).ok());
}

}  // namespace

TEST_CASE("trouble: a table takes the name of another that is wished otherwise",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE a(id int PRIMARY KEY); INSERT INTO a VALUES(1);"
      "CREATE TABLE b(id int PRIMARY KEY); INSERT INTO b VALUES(2)");
  seed_a_as_z(s);
  s.start(true);
  SECTION("which is called otherwise since then") {
    s.cluster.execute("ALTER TABLE b RENAME TO m; ALTER TABLE a RENAME TO b");
  }
  SECTION("which was called otherwise before") {
    s.cluster.execute("ALTER TABLE b RENAME TO m");
    s.cluster.execute("ALTER TABLE a RENAME TO b");
  }
  SECTION("which is not there any more") {
    s.cluster.execute("DROP TABLE b");
    CHECK(eventually([&] { return s.state("b") == "waiting"; }));
    s.cluster.execute("ALTER TABLE a RENAME TO b");
  }
  s.check_equal("b", "id");
  CHECK(eventually([&] { return s.state("z") == "waiting"; }));
  s.cluster.execute("CREATE TABLE a(id int PRIMARY KEY); INSERT INTO a VALUES(3)");
  CHECK(eventually([&] { return s.is_there("z"); }));
  CHECK(s.rows("SELECT id FROM z") == Texts{"3"});
  s.end();
}

TEST_CASE("trouble: a rename does not take the name here of a table that is waited for",
          "[mirror][trouble][integration]") {
  Troubled s("CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE b(id int PRIMARY KEY)");
  seed_a_as_z(s);
  s.start(true);
  s.cluster.execute("DROP TABLE a");
  CHECK(eventually([&] { return s.state("z") == "waiting"; }));
  s.cluster.execute("ALTER TABLE b RENAME TO z; INSERT INTO z VALUES(1)");
  s.catch_up();
  CHECK(s.rows("SELECT id FROM b") == Texts{"1"});
  s.cluster.execute("CREATE TABLE a(id int PRIMARY KEY); INSERT INTO a VALUES(2)");
  CHECK(eventually([&] { return s.is_there("z"); }));
  CHECK(s.rows("SELECT id FROM z") == Texts{"2"});
  s.end();
}

TEST_CASE("trouble: a table that is wished for has its name, also where a rename has it",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE a(id int PRIMARY KEY); INSERT INTO a VALUES(2);"
      "CREATE TABLE b(id int PRIMARY KEY)");
  const std::string config = (s.dir / "c.json").string();
  std::ofstream(config) << R"({"tables": [{"table": "b"}]})";
  REQUIRE(s.seed({"--config", config}).ok());
  s.start(true, {"--config", config});
  s.cluster.execute("ALTER TABLE b RENAME TO z; INSERT INTO z VALUES(1)");
  s.check_equal("z", "id");
  std::ofstream(config) << R"({"tables": [{"table": "b"}, {"table": "a", "as": "z"}]})";
  s.runner->signal(SIGHUP);
  CHECK(eventually([&] { return s.is_there("z") && s.is_there("b"); }));
  CHECK(s.rows("SELECT id FROM z") == Texts{"2"});
  CHECK(s.rows("SELECT id FROM b") == Texts{"1"});
  s.cluster.execute("INSERT INTO z VALUES(3)");
  s.catch_up();
  CHECK(s.rows("SELECT id FROM b") == Texts{"1", "3"});
  s.end();
}

TEST_CASE("wait: a table that is being copied is not there yet, and one in trouble is told",
          "[mirror][integration][trouble][wait]") {
  Troubled place(
      "CREATE TABLE a(id int PRIMARY KEY); INSERT INTO a VALUES(1);"
      "CREATE TABLE b(id int PRIMARY KEY, v text); INSERT INTO b VALUES(1, 'x')");
  place.seed_tables({"a", "b"});
  const auto wait = [&](const Texts& more) {
    const std::string lsn = place.cluster.scalar("SELECT pg_current_wal_flush_lsn()");
    Texts argv = {program("deltamirror"), "wait", place.mirror(), "--lsn", lsn};
    argv.insert(argv.end(), more.begin(), more.end());
    return run(argv);
  };
  place.start(true);
  CHECK(wait({"--timeout", "60"}).ok());

  // It is not there before its transaction commits, and the others go on.
  place.cluster.execute("DROP TABLE b");
  Session holder(place.cluster.conninfo());
  holder.execute("BEGIN; CREATE TABLE b(id int PRIMARY KEY, v text); INSERT INTO b VALUES(2, 'y')");
  place.cluster.execute("INSERT INTO a VALUES(2)");
  const Result waiting = wait({"--timeout", "60"});
  CHECK(waiting.ok());
  CHECK_THAT(waiting.err, Catch::Contains("table b is waiting"));
  CHECK(wait({"--table", "a", "--timeout", "60"}).err.empty());
  CHECK_THAT(wait({"--table", "b", "--timeout", "60"}).err, Catch::Contains("table b is waiting"));
  CHECK_THAT(wait({"--table", "nope"}).err, Catch::Contains("has no table \"nope\""));
  holder.execute("COMMIT");

  place.cluster.execute("ALTER TABLE a RENAME TO a_old; CREATE TABLE a(id int PRIMARY KEY)");
  place.cluster.execute("INSERT INTO a SELECT generate_series(1, 100000)");
  CHECK(wait({"--timeout", "60"}).ok());
  CHECK(place.value("SELECT count(*) FROM a") == "100000");
  CHECK(place.value("SELECT v FROM b") == "y");
  CHECK(place.value("SELECT group_concat(name || state) FROM _deltamirror_status") ==
        "afollowing,bfollowing");
  place.end();
}
