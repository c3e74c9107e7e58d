// deltastream --source pgoutput: mirrors that are seeded from it and follow it, under load.
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <thread>

#include "pgoutput.h"

using namespace deltastream_test;

namespace {

// A stream that runs, and a mirror of it.
struct Managed {
  explicit Managed(const std::string& before, const std::string& tables = "FOR ALL TABLES") {
    cluster.execute(before);
    install(cluster);
    cluster.execute("CREATE PUBLICATION flood " + tables + "; SELECT deltaflood.install('flood')");
    start();
  }
  void start() {
    process.emplace(stream.command(with(kPgoutput, {"--create-slot", "--if-not-exists"})));
    REQUIRE(streaming(*process));
  }
  Result mirror(const std::string& command, const Lines& more) const {
    return support::run(with({support::program("deltamirror"), command, path(), "-d",
                              cluster.conninfo(), "--daystream", stream.directory().string()},
                             more));
  }
  void seed(const Lines& tables) const {
    Lines arguments;
    for (const std::string& table : tables) arguments.insert(arguments.end(), {"--table", table});
    const Result seeded = mirror("seed", arguments);
    INFO(seeded.err);
    REQUIRE(seeded.ok());
  }
  void run() {
    runner.emplace(Lines{support::program("deltamirror"), "run", path(), "-d", cluster.conninfo(),
                         "--daystream", stream.directory().string()});
  }
  // Once it has all that is committed by now.
  void check_equal() const {
    const std::string lsn = cluster.scalar("SELECT pg_current_wal_flush_lsn()");
    const Result waited = support::run(
        {support::program("deltamirror"), "wait", path(), "--lsn", lsn, "--timeout", "60"});
    const Result verified = mirror("verify", {});
    INFO(waited.err << verified.out << verified.err << runner->err() << process->err());
    CHECK(waited.ok());
    CHECK(verified.ok());
  }
  std::string path() const { return (dir / "mirror.db").string(); }

  support::TempDir dir;
  Cluster cluster{
      {.config = {"logical_decoding_work_mem = 64kB", "max_prepared_transactions = 50"}}};
  Stream stream{cluster, "managed"};
  std::optional<Process> process;
  std::optional<Process> runner;
};

// Writes to fox and hen, with rollbacks and subtransactions, until it goes; not while the stream is
// far behind, since on a slow machine it would never reach what a seed waits for.
class Writers {
 public:
  explicit Writers(const Cluster& cluster, int count) {
    threads_.emplace_back([this, &cluster](const std::stop_token& stop) {
      support::Session session = cluster.session();
      while (!stop.stop_requested()) {
        held_up_ = session.query(
                       "SELECT coalesce(max(pg_current_wal_lsn() - confirmed_flush_lsn), "
                       "0) > 4000000 FROM pg_replication_slots")[0][0] == "t";
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    });
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, &cluster, i](const std::stop_token& stop) {
        support::Session session = cluster.session();
        // Far apart: a quick machine makes 100,000 of them in a test.
        for (int n = 1; !stop.stop_requested(); ++n) {
          write(session, i * 50'000'000 + n * 10, n);
          while (held_up_ && !stop.stop_requested()) {
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
          }
        }
      });
    }
  }
  int transactions() const noexcept { return transactions_; }

 private:
  void write(support::Session& session, int id, int n) {
    const std::string a = std::to_string(id);
    const std::string many = n % 20 == 0 ? "500" : "1";
    std::string end = n % 5 == 0 ? "ROLLBACK" : "COMMIT";
    const std::string prepared = "flood_" + a;
    if (n % 7 == 0) end = "PREPARE TRANSACTION '" + prepared + "'";
    session.execute("BEGIN; INSERT INTO fox (a, b) SELECT -" + a +
                    " * 10 - i, repeat('x', 300) FROM "
                    "generate_series(1, " +
                    many + ") i; SAVEPOINT s; INSERT INTO hen (a, b) VALUES (" + a +
                    ", 'gone'); ROLLBACK TO s; INSERT INTO hen (a, b) VALUES (" + a +
                    ", 'kept'); UPDATE fox "
                    "SET b = 'seen' WHERE a = -" +
                    a + " * 10 - 1; DELETE FROM hen WHERE a = " + a + " - 20; " + end);
    if (n % 7 == 0) {
      // Another transaction in between, of no table: DDL that waits for this one would hold it up.
      session.execute("SELECT pg_logical_emit_message(true, 'between', '')");
      session.execute((n % 14 == 0 ? "ROLLBACK PREPARED '" : "COMMIT PREPARED '") + prepared + "'");
    }
    ++transactions_;
  }

  std::atomic<int> transactions_ = 0;
  std::atomic<bool> held_up_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace

TEST_CASE("pgoutput: a mirror that is seeded and follows under load is equal",
          "[streamer][pgoutput]") {
  Managed s(
      "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE fox (a int PRIMARY KEY, b text, m "
      "mood DEFAULT 'ok'); CREATE TABLE hen (a int PRIMARY KEY, b text)");
  {
    Writers writers(s.cluster, 3);
    REQUIRE(support::eventually([&] { return writers.transactions() > 30; }));
    s.seed({"fox", "hen"});
    s.run();
    for (const char* ddl :
         {"ALTER TABLE fox ADD c text DEFAULT 'c'", "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",
          "ALTER TABLE hen ALTER b TYPE varchar(20)", "BEGIN; ALTER TABLE fox ADD d int; ROLLBACK",
          "ALTER TABLE hen ADD e timestamptz DEFAULT clock_timestamp()"}) {
      const int before = writers.transactions();
      s.cluster.execute(ddl);
      REQUIRE(support::eventually([&] { return writers.transactions() > before + 20; }));
    }
    s.process->signal(SIGKILL);
    s.process->wait();
    s.start();
  }
  s.check_equal();
}

TEST_CASE("pgoutput: many seeds under load are each exact", "[streamer][pgoutput]") {
  Managed s(
      "CREATE TABLE fox (a int PRIMARY KEY, b text); CREATE TABLE hen (a int PRIMARY KEY, b "
      "text)");
  Writers writers(s.cluster, 4);
  const char* const given = std::getenv("PGOUTPUT_SEAMS");
  const int seams = given != nullptr ? std::atoi(given) : 20;
  for (int seed = 0; seed < seams; ++seed) {
    const int before = writers.transactions();
    REQUIRE(support::eventually([&] { return writers.transactions() > before + 10; }));
    s.seed({"fox", "hen"});
    const Result verified = s.mirror("verify", {});
    INFO(seed << verified.out << verified.err);
    CHECK(verified.ok());
    for (const char* end : {"", "-wal", "-shm", ".lock", ".sock"}) {
      std::filesystem::remove(s.path() + end);
    }
  }
}

TEST_CASE("pgoutput: what triggers do not tell is copied, and never wrong",
          "[streamer][pgoutput]") {
  Managed s(
      "CREATE TABLE fox (a int PRIMARY KEY, b text); CREATE TABLE hen (a int PRIMARY KEY, b "
      "text); INSERT INTO fox VALUES (1, 'one')");
  s.seed({"fox", "hen"});
  s.run();
  s.cluster.execute(
      "ALTER EVENT TRIGGER deltaflood_ddl DISABLE; ALTER EVENT TRIGGER "
      "deltaflood_rewrite DISABLE");
  s.cluster.execute("ALTER TABLE fox ADD c int DEFAULT 7; ALTER TABLE hen RENAME b TO d");
  s.cluster.execute("INSERT INTO fox VALUES (2, 'two', 2); INSERT INTO hen VALUES (1, 'x')");
  REQUIRE(support::eventually([&] { return contains(s.process->err(), "told again"); }));
  REQUIRE(s.stream.caught_up());
  s.cluster.execute("INSERT INTO fox VALUES (3, 'three', 3); UPDATE hen SET d = 'y'");
  s.check_equal();
  const Lines lines = told(s.stream);
  CHECK(std::any_of(lines.begin(), lines.end(),
                    [](const std::string& line) { return contains(line, "\t_untold\t"); }));
}

TEST_CASE("pgoutput: what was generated and is not any more is copied, and what goes is gone",
          "[streamer][pgoutput]") {
  Managed s(
      "CREATE TABLE fox (a int PRIMARY KEY, b int, c int GENERATED ALWAYS AS (b * 2) STORED); "
      "CREATE TABLE hen (a int PRIMARY KEY, b int, c int GENERATED ALWAYS AS (b * 2) STORED); "
      "INSERT INTO fox VALUES (1, 1), (2, 2); INSERT INTO hen VALUES (1, 1)");
  s.seed({"fox", "hen"});
  s.run();
  s.cluster.execute("UPDATE fox SET b = 9 WHERE a = 1");
  s.cluster.execute("ALTER TABLE fox ALTER c DROP EXPRESSION; ALTER TABLE hen DROP c");
  s.check_equal();
  s.cluster.execute("UPDATE fox SET c = 77 WHERE a = 2");
  s.check_equal();
}

TEST_CASE("pgoutput: a table goes out of the publication and comes back under load, and is equal",
          "[streamer][pgoutput]") {
  Managed s(
      "CREATE TABLE fox (a int PRIMARY KEY, b text); CREATE TABLE hen (a int PRIMARY KEY, b text)",
      "FOR TABLE fox, hen");
  {
    Writers writers(s.cluster, 2);
    REQUIRE(support::eventually([&] { return writers.transactions() > 20; }));
    s.seed({"fox", "hen"});
    s.run();
    s.cluster.execute("ALTER PUBLICATION flood DROP TABLE hen");
    const auto holds = [&](const std::string& tables) {
      return [&s, tables] {
        return contains(s.stream.lines("\ttables\t").back(), "\ttables\t" + tables + "\t");
      };
    };
    REQUIRE(support::eventually(std::chrono::seconds(60), holds("\"public\".\"fox\"")));
    s.cluster.execute("ALTER PUBLICATION flood ADD TABLE hen");
    REQUIRE(support::eventually(std::chrono::seconds(60),
                                holds("\"public\".\"fox\",\"public\".\"hen\"")));
  }
  s.check_equal();
}

TEST_CASE("pgoutput: what is done to a table while it is out of the publication is not lost",
          "[streamer][pgoutput]") {
  struct Way {
    const char* publication;
    const char* out;
    const char* back;
    const char* name = "fox";  // meanwhile
  };
  const Way way =
      GENERATE(Way{"FOR TABLE fox, hen", "ALTER PUBLICATION flood DROP TABLE fox",
                   "ALTER PUBLICATION flood ADD TABLE fox"},
               Way{"FOR TABLE fox, hen", "ALTER PUBLICATION flood SET (publish = 'insert')",
                   "ALTER PUBLICATION flood SET (publish = 'insert, update, delete, truncate')"},
               Way{"FOR TABLE fox, hen", "ALTER PUBLICATION flood SET TABLE hen, deltaflood.ddl",
                   "ALTER PUBLICATION flood SET TABLE fox, hen, deltaflood.ddl"},
               Way{"FOR TABLES IN SCHEMA public", "CREATE SCHEMA o; ALTER TABLE fox SET SCHEMA o",
                   "ALTER TABLE o.fox SET SCHEMA public", "o.fox"},
               Way{"FOR TABLE parted, hen", "ALTER TABLE parted DETACH PARTITION fox",
                   "ALTER TABLE parted ATTACH PARTITION fox FOR VALUES FROM (0) TO (100)"});
  CAPTURE(way.publication, way.out);
  Managed s(
      "CREATE TABLE parted (a int PRIMARY KEY, b text) PARTITION BY RANGE (a); "
      "CREATE TABLE fox PARTITION OF parted FOR VALUES FROM (0) TO (100); "
      "CREATE TABLE hen (a int PRIMARY KEY, b text); "
      "INSERT INTO fox VALUES (1, 'x'), (2, 'y'), (3, 'z')",
      way.publication);
  s.seed({"fox", "hen"});
  s.run();
  s.cluster.execute(std::string("BEGIN; ") + way.out + "; DELETE FROM " + way.name +
                    " WHERE a = 1; UPDATE " + way.name + " SET b = 'other' WHERE a = 2; " +
                    way.back + "; COMMIT");
  s.check_equal();
  s.cluster.execute("UPDATE fox SET b = 'last'");
  s.check_equal();
}

// Each way to leave changes of fox out, while all runs, and back. Rows change meanwhile.
TEST_CASE("pgoutput: a table that is not told whole any more is followed by no mirror",
          "[streamer][pgoutput][narrowed]") {
  struct Way {
    const char* publication;
    const char* out;
    const char* back;
    const char* why;
    bool triggers = true;
  };
  const char* const kAll =
      "ALTER PUBLICATION flood SET (publish = 'insert, update, delete, truncate')";
  const char* const kSet = "ALTER PUBLICATION flood SET TABLE fox, hen, deltaflood.ddl";
  const char* const kTables = "FOR TABLE fox, hen";
  const Way way = GENERATE_COPY(
      Way{kTables, "ALTER PUBLICATION flood SET TABLE fox WHERE (a > 10), hen, deltaflood.ddl",
          kSet, "has a row filter on table fox", false},
      Way{kTables, "ALTER PUBLICATION flood SET (publish = 'insert, delete')", kAll,
          "does not publish all changes", false},
      Way{kTables, "ALTER PUBLICATION flood DROP TABLE fox",
          "ALTER PUBLICATION flood ADD TABLE fox", "does not have table fox", false},
      Way{kTables, "ALTER PUBLICATION flood SET TABLE fox WHERE (a > 10), hen, deltaflood.ddl",
          kSet, "has a row filter on table fox"},
      Way{kTables, "ALTER PUBLICATION flood SET TABLE fox (a), hen, deltaflood.ddl", kSet,
          "has a list of columns on table fox"},
      Way{kTables, "ALTER PUBLICATION flood SET (publish = 'insert, update, truncate')", kAll,
          "does not publish all changes"},
      Way{kTables, "ALTER PUBLICATION flood SET (publish = 'insert, delete, truncate')", kAll,
          "does not publish all changes"},
      Way{kTables, "ALTER PUBLICATION flood SET (publish = 'update, delete, truncate')", kAll,
          "does not publish all changes"},
      Way{"FOR ALL TABLES", "ALTER PUBLICATION flood SET (publish = 'insert, update, delete')",
          kAll, "does not publish all changes"},
      Way{"FOR TABLE parted, hen", "ALTER PUBLICATION flood SET (publish_via_partition_root)",
          "ALTER PUBLICATION flood SET (publish_via_partition_root = false)",
          "publishes partitions via their root"},
      Way{kTables, "ALTER PUBLICATION flood DROP TABLE fox",
          "ALTER PUBLICATION flood ADD TABLE fox", "does not have table fox"},
      Way{kTables, "ALTER PUBLICATION flood SET TABLE fox, hen", kSet,
          "does not publish deltaflood.ddl"},
      Way{"FOR TABLES IN SCHEMA public",
          "ALTER PUBLICATION flood DROP TABLES IN SCHEMA public; ALTER PUBLICATION flood ADD "
          "TABLE hen",
          "ALTER PUBLICATION flood DROP TABLE hen; ALTER PUBLICATION flood ADD TABLES IN SCHEMA "
          "public",
          "does not have table fox"});
  CAPTURE(way.publication, way.out, way.triggers);
  Managed s(
      "CREATE TABLE parted (a int PRIMARY KEY, b text) PARTITION BY RANGE (a); "
      "CREATE TABLE fox PARTITION OF parted FOR VALUES FROM (0) TO (100); "
      "CREATE TABLE hen (a int PRIMARY KEY, b text); "
      "INSERT INTO fox VALUES (1, 'x'), (2, 'y'), (3, 'z')",
      way.publication);
  if (!way.triggers) s.cluster.execute("SELECT deltaflood.drop_triggers()");
  s.seed({"fox", "hen"});
  s.run();
  const auto status = [&] {
    return support::run({support::program("deltamirror"), "status", s.path()});
  };
  s.cluster.execute(way.out);
  s.cluster.execute("UPDATE fox SET b = 'other' WHERE a = 1; DELETE FROM fox WHERE a = 2");
  const bool said = support::eventually([&] {
    const Result is = status();
    return !is.ok() && contains(is.out, way.why);
  });
  INFO(status().out << s.runner->err() << s.process->err());
  REQUIRE(said);
  CHECK_FALSE(contains(status().out, "--tables"));
  const Result streamer =
      support::run({support::program("deltastream"), "status", s.stream.directory().string()});
  INFO(streamer.out);
  CHECK((contains(way.why, "does not have") || contains(streamer.out, "TROUBLE: publication")));
  s.cluster.execute("INSERT INTO fox VALUES (4, 'four')");
  s.cluster.execute(way.back);
  s.cluster.execute("UPDATE fox SET b = 'last' WHERE a = 3");
  CHECK(support::eventually([&] { return status().ok(); }));
  s.check_equal();
  s.cluster.execute("UPDATE fox SET b = 'more'; INSERT INTO hen VALUES (1, 'x')");
  s.check_equal();
}

TEST_CASE("pgoutput: a table that is out of the publication for a moment is copied again",
          "[streamer][pgoutput][narrowed]") {
  struct Way {
    const char* out;
    const char* back;
  };
  const Way way = GENERATE(
      Way{"ALTER PUBLICATION flood DROP TABLE fox", "ALTER PUBLICATION flood ADD TABLE fox"},
      Way{"ALTER PUBLICATION flood SET (publish = 'truncate')",
          "ALTER PUBLICATION flood SET (publish = 'insert, update, delete, truncate')"});
  const bool triggers = GENERATE(true, false);
  CAPTURE(way.out, triggers);
  Managed s(
      "CREATE TABLE fox (a int PRIMARY KEY, b text); INSERT INTO fox VALUES (1, 'x'), (2, 'y')",
      "FOR TABLE fox");
  if (!triggers) s.cluster.execute("SELECT deltaflood.drop_triggers()");
  s.seed({"fox"});
  s.run();
  s.cluster.execute(way.out);
  s.cluster.execute("UPDATE fox SET b = 'lost' WHERE a = 1");
  s.cluster.execute(way.back);
  s.cluster.execute("UPDATE fox SET b = 'told' WHERE a = 2");
  const bool same = support::eventually([&] {
    return contains(
        support::run({"sqlite3", "-readonly", s.path(), "SELECT group_concat(b) FROM fox"}).out,
        "lost,told");
  });
  INFO(s.runner->err() << s.process->err());
  REQUIRE(same);
  s.check_equal();
}
