// A partitioned table is one table in the mirror.
#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "pipeline.h"

using support::Exit;
using support::Result;

namespace {

struct Partitioned : Pipeline {
  Partitioned() {
    cluster.execute(
        "CREATE TABLE p(id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
        "CREATE TABLE low PARTITION OF p FOR VALUES FROM (0) TO (100);"
        "CREATE TABLE high(v text, id int PRIMARY KEY);"
        "ALTER TABLE p ATTACH PARTITION high FOR VALUES FROM (100) TO (200);"
        "INSERT INTO p SELECT i, 'v' || i FROM generate_series(0, 198, 2) i");
  }
  void start(bool by_root) {
    std::vector<std::string> argv = {support::program("deltastream"),
                                     "-d",
                                     cluster.conninfo(),
                                     "-S",
                                     "mirror",
                                     "-D",
                                     stream(),
                                     "--create-slot",
                                     "--if-not-exists"};
    if (by_root) argv.emplace_back("--partition-root");
    streamer.emplace(argv);
    REQUIRE(support::eventually([&] { return std::filesystem::exists(dir / "stream/durable"); }));
  }
  Result run_with_source() const {
    return support::run({support::program("deltamirror"), "run", mirror(), "--daystream", stream(),
                         "-d", cluster.conninfo(), "--until-lsn",
                         cluster.scalar("SELECT pg_current_wal_flush_lsn()")});
  }
  void check_equal() const {
    const std::string sql = "SELECT id || ' ' || coalesce(v, '-') FROM p ORDER BY id";
    CHECK(rows(sql) == source_rows(sql));
  }
};

}  // namespace

TEST_CASE("partitions: their rows are their root's, also those that move", "[mirror][partition]") {
  Partitioned s;
  s.start(true);
  const Result seeded = s.seed({"--table", "p"});
  INFO(seeded.err);
  REQUIRE(seeded.ok());
  CHECK(s.value("SELECT count(*) FROM p") == "100");
  s.start_run();
  std::mt19937 random(7);  // NOLINT: the same each time
  for (int i = 0; i < 100; ++i) {
    const std::string id = std::to_string(random() % 200);
    const std::string to = std::to_string(random() % 200);
    s.cluster.execute("INSERT INTO p VALUES (" + id +
                      ", 'new') ON CONFLICT (id) DO UPDATE SET v = "
                      "p.v || '!'");
    s.cluster.execute("UPDATE p SET id = " + to + " WHERE id = " + id +
                      " AND NOT EXISTS (SELECT FROM p WHERE id = " + to + ")");
    if (i % 7 == 0) s.cluster.execute("DELETE FROM p WHERE id = " + to);
  }
  // What changes all partitions at once, and a partition that is new and empty, need no copy.
  s.cluster.execute(
      "ALTER TABLE p ADD COLUMN n int DEFAULT 7;"
      "CREATE TABLE top PARTITION OF p FOR VALUES FROM (200) TO (300);"
      "INSERT INTO p VALUES (250, 'top', 1);"
      "UPDATE p SET n = id WHERE id % 3 = 0");
  s.catch_up();
  s.check_equal();
  CHECK(s.rows("SELECT n FROM p ORDER BY id") == s.source_rows("SELECT n FROM p ORDER BY id"));
  s.cluster.execute("TRUNCATE p; INSERT INTO p VALUES (1, 'one', 1), (101, 'two', 2)");
  s.catch_up();
  s.check_equal();
  const Result verified = support::run({support::program("deltamirror"), "verify", s.mirror(), "-d",
                                        s.cluster.conninfo(), "--daystream", s.stream()});
  INFO(verified.err);
  CHECK(verified.ok());
}

TEST_CASE("partitions: one that comes, goes or is emptied has its root copied anew",
          "[mirror][partition]") {
  Partitioned s;
  s.start(true);
  REQUIRE(s.seed({"--table", "p"}).ok());
  const std::string what = GENERATE(
      as<std::string>{},  //
      "ALTER TABLE p DETACH PARTITION high", "ALTER TABLE p DETACH PARTITION high CONCURRENTLY",
      "DROP TABLE high", "TRUNCATE high",
      "CREATE TABLE more(id int PRIMARY KEY, v text); INSERT INTO more VALUES (205, 'more');"
      "ALTER TABLE p ATTACH PARTITION more FOR VALUES FROM (200) TO (300)",
      "ALTER TABLE p ALTER v TYPE varchar(40) USING v || '.'",
      "ALTER TABLE p ADD COLUMN r float DEFAULT random()");
  CAPTURE(what);
  s.cluster.execute(what);
  s.cluster.execute("UPDATE p SET v = v || '+' WHERE id < 20");

  const Result alone = s.run_to_trouble();
  INFO(alone.err);
  CHECK(alone.exit == Exit{3, 0});
  CHECK_THAT(alone.err, Catch::Contains("partition") && Catch::Contains("reseed"));
  CHECK(s.value("SELECT count(*) FROM p") == "100");

  const Result helped = s.run_with_source();
  INFO(helped.err);
  REQUIRE(helped.ok());
  s.check_equal();
  s.cluster.execute("UPDATE p SET v = 'last' WHERE id = 2");
  REQUIRE(s.run_once().ok());
  s.check_equal();
}

TEST_CASE("partitions: what cannot be followed is refused, and says what to do",
          "[mirror][partition]") {
  Partitioned s;
  SECTION("the root of a stream that tells partitions by their names") {
    s.start(false);
    const Result root = s.seed({"--table", "p"});
    CHECK(root.exit == Exit{3, 0});
    CHECK_THAT(root.err, Catch::Contains("--partition-root"));
    CHECK(s.seed({"--table", "low"}).ok());
    // Later the stream tells them otherwise: the mirror does not wait for rows that never come.
    s.streamer->signal(SIGTERM);
    CHECK(s.streamer->wait().code == 0);
    s.start(true);
    s.cluster.execute("INSERT INTO p VALUES (1, 'one')");
    const Result stopped = s.run_to_trouble();
    CHECK(stopped.exit == Exit{3, 0});
    CHECK_THAT(stopped.err, Catch::Contains("low") && Catch::Contains("partition"));
  }
  SECTION("a partition of a stream that tells its root") {
    s.start(true);
    const Result leaf = s.seed({"--table", "low"});
    CHECK(leaf.exit == Exit{3, 0});
    CHECK_THAT(leaf.err, Catch::Contains("is a partition of"));
  }
  SECTION("a partition whose rows are not decoded, or named otherwise") {
    s.start(true);
    s.cluster.execute("CREATE UNLOGGED TABLE dark PARTITION OF p FOR VALUES FROM (200) TO (300)");
    const Result dark = s.seed({"--table", "p"});
    CHECK(dark.exit == Exit{3, 0});
    CHECK_THAT(dark.err, Catch::Contains("public.dark") && Catch::Contains("unlogged"));
    s.cluster.execute("DROP TABLE dark; ALTER TABLE high REPLICA IDENTITY FULL");
    const Result other = s.seed({"--table", "p"});
    CHECK(other.exit == Exit{3, 0});
    CHECK_THAT(other.err, Catch::Contains("public.high") && Catch::Contains("all columns"));
    s.cluster.execute("ALTER TABLE high REPLICA IDENTITY DEFAULT");
    REQUIRE(s.seed({"--table", "p"}).ok());
    s.cluster.execute("CREATE UNLOGGED TABLE dark PARTITION OF p FOR VALUES FROM (200) TO (300)");
    const Result later = s.run_with_source();
    CHECK(later.ok());
    CHECK_THAT(later.err, Catch::Contains("public.dark"));
    CHECK(s.value("SELECT state FROM _deltamirror_tables") == "parked");
    CHECK(s.value("SELECT count(*) FROM sqlite_schema WHERE name = 'p'") == "0");
  }
}

TEST_CASE("partitions: some rows of a root, which move between partitions and in and out",
          "[mirror][partition]") {
  Partitioned s;
  s.start(true);
  const std::string where = "id >= 60 AND v <> 'out'";
  const Result seeded = s.seed({"--table", "p", "--where", where});
  INFO(seeded.err);
  REQUIRE(seeded.ok());
  const auto check = [&] {
    CHECK(s.rows("SELECT id || ' ' || v FROM p ORDER BY id") ==
          s.source_rows("SELECT id || ' ' || v FROM p WHERE " + where + " ORDER BY id"));
  };
  check();
  std::mt19937 random(11);  // NOLINT: the same each time
  for (int i = 0; i < 100; ++i) {
    const std::string id = std::to_string(random() % 200);
    const std::string to = std::to_string(random() % 200);
    s.cluster.execute("UPDATE p SET v = CASE v WHEN 'out' THEN 'in' ELSE 'out' END WHERE id = " +
                      id + "; UPDATE p SET id = " + to + " WHERE id = " + id +
                      " AND NOT EXISTS (SELECT FROM p WHERE id = " + to + ")");
  }
  REQUIRE(s.run_once().ok());
  check();
  // A table of its own again: its rows leave the root, and the mirror with it.
  s.cluster.execute(
      "ALTER TABLE p DETACH PARTITION high; INSERT INTO high VALUES ('alone', 199);"
      "UPDATE p SET v = 'in' WHERE id >= 90");
  const Result helped = s.run_with_source();
  INFO(helped.err);
  REQUIRE(helped.ok());
  check();
  CHECK(s.value("SELECT count(*) FROM p WHERE id >= 100") == "0");
}

TEST_CASE("partitions: the history of a root", "[mirror][partition]") {
  Partitioned s;
  s.start(true);
  const Result seeded = s.seed({"--table", "p", "--mode", "history"});
  INFO(seeded.err);
  REQUIRE(seeded.ok());
  s.cluster.execute(
      "UPDATE p SET v = 'low' WHERE id = 2; UPDATE p SET id = 151 WHERE id = 4;"
      "DELETE FROM p WHERE id = 198; INSERT INTO p VALUES (5, 'new')");
  REQUIRE(s.run_once().ok());
  // PostgreSQL moves a row between partitions as a row that goes and one that comes.
  CHECK(s.rows("SELECT _action || ' ' || id || ' ' || coalesce(v, '-') FROM p WHERE _action <> "
               "'seed' ORDER BY _c, _s") ==
        std::vector<std::string>{"update 2 low", "delete 4 -", "insert 151 v4", "delete 198 -",
                                 "insert 5 new"});
  CHECK(s.value("SELECT count(*) FROM p WHERE _action = 'seed'") == "100");
}
