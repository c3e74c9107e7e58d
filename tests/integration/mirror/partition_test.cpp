// A partitioned table is one table in the mirror.
#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "pipeline.h"
#include "shards.h"

using support::Exit;
using support::Result;

namespace {

constexpr const char* kPartitioned =
    "CREATE TABLE p(id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
    "CREATE TABLE low PARTITION OF p FOR VALUES FROM (0) TO (100);"
    "CREATE TABLE high(v text, id int PRIMARY KEY);"
    "ALTER TABLE p ATTACH PARTITION high FOR VALUES FROM (100) TO (200);"
    "INSERT INTO p SELECT i, 'v' || i FROM generate_series(0, 198, 2) i";

struct Partitioned : Pipeline {
  Partitioned() { cluster.execute(kPartitioned); }
  void start(bool by_root, const std::string& tables = {}) {
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
    if (!tables.empty()) argv.insert(argv.end(), {"--tables", tables});
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

TEST_CASE("partitions: one that comes with rows or is emptied has its root copied again",
          "[mirror][partition]") {
  Partitioned s;
  s.start(true);
  REQUIRE(s.seed({"--table", "p"}).ok());
  const std::string what = GENERATE(
      as<std::string>{},  //
      "TRUNCATE high",
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

TEST_CASE("partitions: one that goes takes its rows along, without a copy", "[mirror][partition]") {
  Partitioned s;
  s.start(true);
  REQUIRE(s.seed({"--table", "p"}).ok());
  const std::string what = GENERATE(
      as<std::string>{},  //
      "ALTER TABLE p DETACH PARTITION high", "ALTER TABLE p DETACH PARTITION high CONCURRENTLY",
      "DROP TABLE high",
      "INSERT INTO p VALUES (101, 'goes'); UPDATE p SET id = 3 WHERE id = 198; DROP TABLE high;"
      "CREATE TABLE again PARTITION OF p FOR VALUES FROM (100) TO (200);"
      "INSERT INTO p VALUES (150, 'stays')");
  CAPTURE(what);
  s.cluster.execute(what);
  s.cluster.execute("UPDATE p SET v = v || '+' WHERE id < 20");
  const Result alone = s.run_to_trouble();
  INFO(alone.err);
  CHECK(alone.ok());
  CHECK_THAT(alone.err, Catch::Contains("50 rows went with it"));
  s.check_equal();

  // One that was made after the seed may have any rows.
  s.cluster.execute(
      "CREATE TABLE top PARTITION OF p FOR VALUES FROM (200) TO (300);"
      "INSERT INTO p VALUES (250, 'top')");
  s.cluster.execute("DROP TABLE top");
  const Result helped = s.run_with_source();
  INFO(helped.err);
  CHECK(helped.ok());
  CHECK_THAT(helped.err, Catch::Contains("copying p"));
  s.check_equal();
}

TEST_CASE("partitions: one whose bounds change in one transaction takes its rows of now along",
          "[mirror][partition]") {
  Partitioned s;
  s.cluster.execute(
      "CREATE TABLE r(id int, k int, j int, PRIMARY KEY (id, k, j)) PARTITION BY RANGE (k);"
      "CREATE TABLE r_0 PARTITION OF r FOR VALUES FROM (0) TO (20);"
      "CREATE TABLE r_1 PARTITION OF r FOR VALUES FROM (1000) TO (1010);"
      "CREATE TABLE r_2 PARTITION OF r FOR VALUES FROM (20) TO (30) PARTITION BY LIST (j);"
      "CREATE TABLE r_2a PARTITION OF r_2 FOR VALUES IN (1);"
      "CREATE TABLE r_2b PARTITION OF r_2 FOR VALUES IN (2);"
      "INSERT INTO r SELECT i, i % 30, 1 + i % 2 FROM generate_series(1, 60) i");
  s.start(true, GENERATE(as<std::string>{}, "", "r"));
  const Result seeded = s.seed({"--table", "r"});
  INFO(seeded.err);
  REQUIRE(seeded.ok());
  struct Case {
    std::string moves;  // how the bounds change, and rows that come into them
    std::string goes;
  };
  const std::string move_r_2 =
      "BEGIN; DELETE FROM r_2; ALTER TABLE r DETACH PARTITION r_2;"
      "ALTER TABLE r ATTACH PARTITION r_2 FOR VALUES FROM (100) TO (120); COMMIT;"
      "CREATE TABLE r_n PARTITION OF r FOR VALUES FROM (20) TO (30);"
      "INSERT INTO r VALUES (1, 25, 1), (2, 105, 1), (3, 105, 2)";
  const Case the = GENERATE_COPY(values<Case>({
      // wider, narrower, in a subtransaction
      {"BEGIN; ALTER TABLE r DETACH PARTITION r_0;"
       "ALTER TABLE r ATTACH PARTITION r_0 FOR VALUES FROM (-100) TO (20); COMMIT;"
       "INSERT INTO r VALUES (1, -5, 5)",
       "ALTER TABLE r DETACH PARTITION r_0"},
      {"BEGIN; SAVEPOINT a; ALTER TABLE r DETACH PARTITION r_0; SAVEPOINT b;"
       "DELETE FROM r_0 WHERE k < 10; ALTER TABLE r ATTACH PARTITION r_0"
       " FOR VALUES FROM (10) TO (20); RELEASE a; COMMIT;"
       "CREATE TABLE r_n PARTITION OF r FOR VALUES FROM (0) TO (10); INSERT INTO r VALUES (1, 5, "
       "5)",
       "DROP TABLE r_0"},
      // one that is empty
      {"BEGIN; ALTER TABLE r DETACH PARTITION r_1;"
       "ALTER TABLE r ATTACH PARTITION r_1 FOR VALUES FROM (1000) TO (2000); COMMIT;"
       "INSERT INTO r VALUES (1, 1500, 5)",
       "ALTER TABLE r DETACH PARTITION r_1"},
      {"BEGIN; TRUNCATE r_0; ALTER TABLE r DETACH PARTITION r_0; ALTER TABLE r ATTACH PARTITION r_0"
       " FOR VALUES FROM (100) TO (120); COMMIT;"
       "CREATE TABLE r_n PARTITION OF r FOR VALUES FROM (0) TO (20);"
       "INSERT INTO r VALUES (1, 5, 5), (2, 105, 5)",
       "ALTER TABLE r DETACH PARTITION r_0 CONCURRENTLY"},
      // of another kind: ends as the default, which had been empty
      {"BEGIN; ALTER TABLE r DETACH PARTITION r_1; ALTER TABLE r ATTACH PARTITION r_1 DEFAULT;"
       "COMMIT; INSERT INTO r VALUES (1, 5000, 5)",
       "DROP TABLE r_1"},
      // what is partitioned itself: a part of it goes, or all of it
      {move_r_2, "ALTER TABLE r_2 DETACH PARTITION r_2a"},
      {move_r_2, "DROP TABLE r_2a"},
      {move_r_2, "DROP TABLE r_2"},
      {"BEGIN; ALTER TABLE r_2 DETACH PARTITION r_2a;"
       "ALTER TABLE r_2 ATTACH PARTITION r_2a FOR VALUES IN (1, 3); COMMIT;"
       "INSERT INTO r VALUES (1, 25, 3)",
       "ALTER TABLE r_2 DETACH PARTITION r_2a"},
      // to another level of the same root
      {"BEGIN; ALTER TABLE r_2 DETACH PARTITION r_2a; DELETE FROM r_2a;"
       "ALTER TABLE r ATTACH PARTITION r_2a FOR VALUES FROM (50) TO (60); COMMIT;"
       "CREATE TABLE r_2n PARTITION OF r_2 FOR VALUES IN (1);"
       "INSERT INTO r VALUES (1, 25, 1), (2, 55, 1)",
       "DROP TABLE r_2a"},
  }));
  CAPTURE(the.moves, the.goes);
  const bool seen_between = GENERATE(false, true);
  s.cluster.execute(the.moves);
  if (seen_between) {
    // No line says which rows it has now, so that a mirror without a source says that it cannot.
    const Result alone = s.run_to_trouble();
    INFO(alone.err);
    CHECK(alone.exit == Exit{3, 0});
    CHECK_THAT(alone.err, Catch::Contains("partition r_"));
    REQUIRE(s.run_with_source().ok());
  }
  s.cluster.execute(the.goes);
  s.cluster.execute("UPDATE r SET id = 1000 WHERE id = 1");
  const Result followed = s.run_with_source();
  INFO(followed.err);
  REQUIRE(followed.ok());
  const std::string all = "SELECT id || ' ' || k || ' ' || j FROM r ORDER BY id, k, j";
  CHECK(s.rows(all) == s.source_rows(all));
}

TEST_CASE("partitions: one whose bounds stay, or whose new ones are rolled back, is not copied",
          "[mirror][partition]") {
  Partitioned s;
  s.start(true);
  REQUIRE(s.seed({"--table", "p"}).ok());
  s.cluster.execute(
      "BEGIN; SAVEPOINT a; ALTER TABLE p DETACH PARTITION high;"
      "ALTER TABLE p ATTACH PARTITION high FOR VALUES FROM (100) TO (300);"
      "INSERT INTO p VALUES (250, 'never'); ROLLBACK TO a; INSERT INTO p VALUES (3, 'low'); COMMIT;"
      "BEGIN; ALTER TABLE p DETACH PARTITION high;"
      "ALTER TABLE p ATTACH PARTITION high FOR VALUES   FROM ( 100 ) TO (200); COMMIT");
  const Result before = s.run_to_trouble();
  INFO(before.err);
  CHECK(before.ok());
  s.check_equal();
  s.cluster.execute("ALTER TABLE p DETACH PARTITION high");
  const Result after = s.run_to_trouble();
  INFO(after.err);
  CHECK(after.ok());
  CHECK_THAT(after.err, Catch::Contains("50 rows went with it"));
  s.check_equal();
}

TEST_CASE(
    "partitions: one that is made, filled and attached in one transaction has its root copied",
    "[mirror][partition]") {
  Partitioned s;
  s.start(true, GENERATE(as<std::string>{}, "", "p"));
  REQUIRE(s.seed({"--table", "p"}).ok());
  s.cluster.execute(
      GENERATE(as<std::string>{},
               "BEGIN; CREATE TABLE more(id int PRIMARY KEY, v text);"
               "INSERT INTO more VALUES (205, 'more');"
               "ALTER TABLE p ATTACH PARTITION more FOR VALUES FROM (200) TO (300); COMMIT",
               "BEGIN; CREATE TABLE more(id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
               "CREATE TABLE most PARTITION OF more FOR VALUES FROM (200) TO (210);"
               "SAVEPOINT a; INSERT INTO more VALUES (205, 'more'); RELEASE a;"
               "ALTER TABLE p ATTACH PARTITION more FOR VALUES FROM (200) TO (300); COMMIT",
               "BEGIN; CREATE UNLOGGED TABLE more(id int PRIMARY KEY, v text);"
               "INSERT INTO more VALUES (205, 'more'); ALTER TABLE more SET LOGGED;"
               "ALTER TABLE p ATTACH PARTITION more FOR VALUES FROM (200) TO (300); COMMIT"));
  const Result followed = s.run_with_source();
  INFO(followed.err);
  REQUIRE(followed.ok());
  s.check_equal();
}

TEST_CASE("partitions: one that goes from one source of three takes its rows of that one along",
          "[mirror][partition][sources]") {
  const Together together = GENERATE(Together::Shared, Together::Prefixed);
  const std::string what =
      GENERATE(as<std::string>{}, "DROP TABLE high", "ALTER TABLE p DETACH PARTITION high");
  CAPTURE(static_cast<int>(together), what);
  Shards s(kPartitioned, {.stream_flags = {"--partition-root"}});
  s.write_config({{{"table", "p"}}}, together);
  s.seed();
  s.start_run();
  s.catch_up();
  s.cluster.execute(what, "b");
  s.cluster.execute("UPDATE p SET v = v || '+' WHERE id < 20", "b");
  s.cluster.execute("UPDATE p SET v = v || '-' WHERE id > 150", "c");
  s.catch_up();
  s.check_equal("p", "id || v");
  CHECK_THAT(s.runner->err(),
             Catch::Contains("50 rows went with it") && !Catch::Contains("copying"));
  s.end_run();
}

TEST_CASE("partitions: whose rows can be told, by ranges and lists of most types",
          "[mirror][partition]") {
  Partitioned s;
  s.cluster.execute("CREATE TYPE mood AS ENUM ('calm', 'wild')");
  struct Kind {
    std::string name;
    std::string key;
    std::string goes;  // the bounds of the one that goes
    std::string stays;
    std::string rows;  // VALUES (k, j)…
    bool exact = true;
    std::string types = "k int, j int";
  };
  const std::vector<Kind> kinds = {
      {"dates", "RANGE (k)", "FROM ('2026-01-01') TO ('2026-02-01')",
       "FROM ('2026-02-01') TO (MAXVALUE)", "('2026-01-31', 1), ('2026-02-01', 2)", true,
       "k date, j int"},
      {"moments", "RANGE (k)", "FROM (MINVALUE) TO ('2026-02-01 01:00+01')",
       "FROM ('2026-02-01 01:00+01') TO ('2027-01-01')",
       "('2026-01-31 23:59:59.9+00', 1), ('2026-02-01 00:00+00', 2)", true, "k timestamptz, j int"},
      {"numbers", "RANGE (k)", "FROM (0.5) TO (1.25)", "FROM (1.25) TO (9)",
       "(1.249, 1), (1.25, 2)", true, "k numeric, j int"},
      {"pairs", "RANGE (k, j)", "FROM (1, 5) TO (3, 2)", "FROM (3, 2) TO (9, 9)",
       "(1, 5), (2, 100), (3, 1), (3, 2), (4, 0)"},
      {"lists", "LIST (k)", "IN ('it''s', 'a::b)', NULL)", "IN ('x')",
       "('it''s', 1), ('a::b)', 2), (NULL, 3), ('x', 4)", true, "k text, j int"},
      {"moods", "LIST (k)", "IN ('wild')", "IN ('calm')", "('wild', 1), ('calm', 2)", true,
       "k mood, j int"},
      {"words", "RANGE (k)", "FROM ('a') TO ('m')", "FROM ('m') TO ('z')", "('b', 1), ('n', 2)",
       false, "k text, j int"},
      {"hashes", "HASH (k)", "WITH (MODULUS 2, REMAINDER 0)", "WITH (MODULUS 2, REMAINDER 1)",
       "(1, 1), (2, 2), (3, 3)", false},
  };
  std::vector<std::string> arguments;
  for (const Kind& kind : kinds) {
    s.cluster.execute("CREATE TABLE " + kind.name + "(" + kind.types + ") PARTITION BY " +
                      kind.key + "; CREATE TABLE " + kind.name + "_goes PARTITION OF " + kind.name +
                      " FOR VALUES " + kind.goes + "; CREATE TABLE " + kind.name +
                      "_stays PARTITION OF " + kind.name + " FOR VALUES " + kind.stays);
    for (const char* const part : {"", "_goes", "_stays"}) {
      s.cluster.execute("ALTER TABLE " + kind.name + part + " REPLICA IDENTITY FULL");
    }
    s.cluster.execute("INSERT INTO " + kind.name + " VALUES " + kind.rows);
    arguments.insert(arguments.end(), {"--table", kind.name});
  }
  s.cluster.execute(
      "CREATE TABLE rest(id int PRIMARY KEY) PARTITION BY RANGE (id);"
      "CREATE TABLE rest_goes PARTITION OF rest DEFAULT; INSERT INTO rest VALUES (1);"
      "CREATE TABLE deep(id int PRIMARY KEY) PARTITION BY RANGE (id);"
      "CREATE TABLE deep_goes PARTITION OF deep FOR VALUES FROM (0) TO (10) PARTITION BY LIST (id);"
      "CREATE TABLE deep_1 PARTITION OF deep_goes FOR VALUES IN (1, 2);"
      "CREATE TABLE deep_2 PARTITION OF deep_goes FOR VALUES IN (3, 4);"
      "CREATE TABLE deep_stays PARTITION OF deep FOR VALUES FROM (10) TO (20);"
      "INSERT INTO deep VALUES (1), (2), (3), (11)");
  s.start(true);
  arguments.insert(arguments.end(), {"--table", "rest", "--table", "deep"});
  const Result seeded = s.seed(arguments);
  INFO(seeded.err);
  REQUIRE(seeded.ok());
  for (const Kind& kind : kinds) s.cluster.execute("DROP TABLE " + kind.name + "_goes");
  s.cluster.execute("DROP TABLE rest_goes; DROP TABLE deep_1");
  s.cluster.execute("INSERT INTO deep VALUES (12)");
  const Result alone = s.run_once();
  INFO(alone.err);
  for (const Kind& kind : kinds) {
    CAPTURE(kind.name);
    CHECK(s.value("SELECT state FROM _deltamirror_tables WHERE name = '" + kind.name + "'") ==
          (kind.exact ? "following" : "parked"));
    if (!kind.exact) continue;
    const std::string sql = "SELECT j FROM " + kind.name + " ORDER BY j";
    CHECK(s.rows(sql) == s.source_rows(sql));
  }
  CHECK(s.value("SELECT state FROM _deltamirror_tables WHERE name = 'rest'") == "parked");
  CHECK(s.rows("SELECT id FROM deep ORDER BY id") == std::vector<std::string>{"3", "11", "12"});
  s.cluster.execute("DROP TABLE deep_goes");
  const Result deeper = s.run_once();
  INFO(deeper.err);
  CHECK(s.rows("SELECT id FROM deep ORDER BY id") == std::vector<std::string>{"11", "12"});
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
