// The names that tables are wished to have here, when tables are renamed and others come.
#include "troubled.h"

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>

using namespace support;

namespace {

// Tables a and b, the one called "z" here, so that their wishes cannot be exchanged.
void seed_a_as_z(Troubled& s) {
  const std::string config = (s.dir / "c.json").string();
  std::ofstream(config) << R"({"tables": [{"table": "a", "as": "z"}, {"table": "b"}]})";
  REQUIRE(s.seed({"--config", config}).ok());
}

}  // namespace

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

TEST_CASE("trouble: an index of the configuration is on the column that has the name",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE t(id int PRIMARY KEY, a text, c text, n numeric);"
      "INSERT INTO t VALUES(1, 'a', 'c', 1.5)");
  const std::string config = (s.dir / "c.json").string();
  write_file(config, R"({"tables": [{"table": "t", "indexes": ["a", ["c", "n_num"]]}]})");
  REQUIRE(s.seed({"--config", config}).ok());
  s.start(true, {"--config", config});
  REQUIRE(eventually([&] { return std::filesystem::exists(s.mirror() + ".sock"); }));
  const auto indexes = [&] {
    return s.rows(
        "SELECT (SELECT group_concat(name) FROM pragma_index_info(i.name)) FROM "
        "pragma_index_list('t') i WHERE origin = 'c' ORDER BY 1");
  };
  const Texts wished = {"a", "c,n_num"};
  const auto reload = [&] {
    s.runner->signal(SIGHUP);
    CHECK(eventually([&] { return s.runner->err().find("took config") != std::string::npos; }));
  };
  CHECK(indexes() == wished);
  SECTION("when another takes it") {
    s.cluster.execute("ALTER TABLE t RENAME a TO b; INSERT INTO t VALUES(2, 'b', 'c', 2)");
    s.catch_up();
    CHECK(indexes() == Texts{"b", "c,n_num"});
    reload();  // it is as it was asked for
    CHECK(indexes() == Texts{"b", "c,n_num"});
    CHECK_THAT(s.runner->err(), !Catch::Contains("could not take configuration"));
    s.cluster.execute(
        "ALTER TABLE t RENAME c TO a; ALTER TABLE t RENAME n TO c; ALTER TABLE t ADD n numeric;"
        "INSERT INTO t VALUES(3, 'b', 'a', 3, 4)");
  }
  SECTION("when all names go round") {
    s.cluster.execute(
        "ALTER TABLE t RENAME a TO x; ALTER TABLE t RENAME c TO a; ALTER TABLE t RENAME x TO c;"
        "INSERT INTO t VALUES(2, 'c', 'a', 2)");
  }
  SECTION("when it goes and comes") {
    s.cluster.execute("ALTER TABLE t DROP a; INSERT INTO t VALUES(2, 'c', 2)");
    s.catch_up();
    CHECK(indexes() == Texts{"c,n_num"});
    s.cluster.execute("ALTER TABLE t ADD a text; INSERT INTO t VALUES(3, 'c', 3, 'a')");
  }
  SECTION("when its table comes without it, and then with it") {
    s.cluster.execute("DROP TABLE t");
    CHECK(eventually([&] { return s.state("t") == "waiting"; }));
    s.cluster.execute("CREATE TABLE t(id int PRIMARY KEY, c text, n numeric)");
    CHECK(eventually([&] { return s.state("t") == "following"; }));
    CHECK(indexes() == Texts{"c,n_num"});
    s.cluster.execute("DROP TABLE t");
    CHECK(eventually([&] { return s.state("t") == "waiting"; }));
    s.cluster.execute("CREATE TABLE t(id int PRIMARY KEY, c text, a text, n numeric)");
    CHECK(eventually([&] { return s.state("t") == "following"; }));
  }
  SECTION("when the configuration changes columns and indexes at once") {
    write_file(config, R"({"tables": [{"table": "t", "columns": ["id", "c", "n"],
                          "indexes": ["n", ["n_num", "c"]]}]})");
    reload();
    CHECK(eventually([&] { return indexes() == Texts{"n", "n_num,c"}; }));
    write_file(config, R"({"tables": [{"table": "t", "indexes": ["a", ["c", "n_num"]]}]})");
    s.runner->signal(SIGHUP);
  }
  s.catch_up();
  CHECK(eventually([&] { return indexes() == wished; }));
  s.check_equal("t", "id || ' ' || coalesce(a, '') || ' ' || coalesce(cast(c AS text), '')");
  CHECK(indexes() == wished);
  s.end();
}

TEST_CASE("trouble: an index on a chosen column is made again on the one that takes its name",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE t(id int PRIMARY KEY, a text, c text); INSERT INTO t VALUES(1, 'a', 'c')");
  const std::string config = (s.dir / "c.json").string();
  write_file(config, R"({"tables": [{"table": "t", "columns": ["id", "a"], "indexes": ["a"]}]})");
  REQUIRE(s.seed({"--config", config}).ok());
  s.start(true, {"--config", config});
  s.cluster.execute("ALTER TABLE t RENAME a TO b; INSERT INTO t VALUES(2, 'b', 'c')");
  s.catch_up();
  const auto indexed = [&] {
    return s.rows(
        "SELECT c.name FROM pragma_index_list('t') i, pragma_index_info(i.name) c WHERE origin = "
        "'c'");
  };
  CHECK(indexed() == Texts{"b"});
  SECTION("of before, which was not mirrored") {
    s.cluster.execute("ALTER TABLE t RENAME c TO a; INSERT INTO t VALUES(3, 'b', 'a')");
  }
  SECTION("that is new") {
    s.cluster.execute("ALTER TABLE t ADD a text DEFAULT 'd'; INSERT INTO t VALUES(3, 'b', 'c')");
  }
  s.catch_up();
  CHECK(eventually(std::chrono::seconds(20), [&] {
    return s.value("SELECT 1 FROM pragma_table_info('t') WHERE name = 'a'") == "1";
  }));
  INFO(s.runner->err());
  REQUIRE(s.rows("SELECT id || a FROM t ORDER BY 1") ==
          s.source_rows("SELECT id || a FROM t ORDER BY 1"));
  CHECK(indexed() == Texts{"a"});
  s.end();
}

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

// Views, indexes and tables of the operator are not the mirror's to remove.
TEST_CASE("trouble: what somebody has made under a table's name stays, and the table waits for it",
          "[mirror][trouble][integration]") {
  const auto [kind, made, gone] = GENERATE(table<std::string, std::string, std::string>({
      {"view", "CREATE VIEW t AS SELECT 1 AS id", "DROP VIEW t"},
      {"table", "CREATE TABLE T(x); INSERT INTO t VALUES('mine')", "DROP TABLE t"},
      {"index", "CREATE INDEX t ON o(id)", "DROP INDEX t"},
  }));
  CAPTURE(kind);
  Troubled s("CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE o(id int PRIMARY KEY)");
  s.seed_tables({"t", "o"});
  s.start(true);
  s.cluster.execute("DROP TABLE t");
  REQUIRE(eventually([&] { return s.state("t") == "waiting"; }));
  const auto by_hand = [&](const std::string& sql) {
    deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite).exec(sql);
  };
  by_hand(made);
  s.cluster.execute("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES(1)");
  const bool parked =
      eventually(std::chrono::seconds(20), [&] { return s.state("t") == "parked"; });
  INFO(s.runner->err());
  REQUIRE(parked);
  CHECK_THAT(s.value("SELECT reason FROM _deltamirror_tables WHERE name = 't'"),
             Catch::Contains("the mirror has a " + kind + " of that name"));
  if (kind == "table") CHECK(s.rows("SELECT x FROM t") == Texts{"mine"});
  s.cluster.execute("INSERT INTO o VALUES(1); INSERT INTO t VALUES(2)");
  s.check_equal("o", "id");
  by_hand(gone);
  s.check_equal("t", "id");
  s.end();
}

TEST_CASE(
    "trouble: a table whose name here somebody has taken stops no source once it has to have it",
    "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE a(id int PRIMARY KEY); INSERT INTO a VALUES(2);"
      "CREATE TABLE b(id int PRIMARY KEY); INSERT INTO b VALUES(1)");
  const std::string config = (s.dir / "c.json").string();
  write_file(config, R"({"tables": [{"table": "b"}]})");
  REQUIRE(s.seed({"--config", config}).ok());
  s.start(true, {"--config", config});
  s.cluster.execute("ALTER TABLE b RENAME TO z; INSERT INTO z VALUES(3)");
  s.check_equal("z", "id");
  const auto by_hand = [&](const std::string& sql) {
    deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite).exec(sql);
  };
  by_hand("CREATE VIEW b AS SELECT 1 AS id");
  write_file(config, R"({"tables": [{"table": "b"}, {"table": "a", "as": "z"}]})");
  s.runner->signal(SIGHUP);
  const bool placed = eventually(std::chrono::seconds(20), [&] {
    return s.state("z") == "following" && s.state("b") == "waiting";
  });
  INFO(s.runner->err());
  REQUIRE(placed);
  CHECK_THAT(s.runner->err(), Catch::Contains("it cannot be called \"b\" here"));
  CHECK(s.rows("SELECT id FROM z") == Texts{"2"});
  by_hand("DROP VIEW b");
  s.cluster.execute("ALTER TABLE z RENAME TO b");
  s.check_equal("b", "id");
  s.end();
}
