// What a mirror does when one of its tables cannot be followed: the others go on.
#include "troubled.h"

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <set>
#include <sstream>

#include "support/notify_socket.h"

using namespace support;

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

// Each row that comes would have it copied again, to fail at the next one.
TEST_CASE(
    "trouble: a table that SQLite refuses the rows of again and again is not copied each time",
    "[mirror][trouble][integration]") {
  Troubled s("CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE o(id int PRIMARY KEY)");
  s.seed_tables({"t", "o"});
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite)
      .exec("CREATE TRIGGER no BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, 'not here'); END");
  s.start(true);
  const auto begun = std::chrono::steady_clock::now();
  for (int n = 1; std::chrono::steady_clock::now() - begun < std::chrono::seconds(6); ++n) {
    const std::string next = std::to_string(n);
    s.cluster.execute("INSERT INTO t VALUES(" + next + "); INSERT INTO o VALUES(" + next + ")");
    s.catch_up();
  }
  const std::string err = s.runner->err();
  INFO(err);
  int copies = 0;
  for (std::size_t at = 0; (at = err.find(" in place, ", at)) != std::string::npos; ++at) ++copies;
  CHECK(copies <= 4);
  CHECK(eventually([&] { return s.state("t") == "parked"; }));
  CHECK_THAT(s.value("SELECT reason FROM _deltamirror_tables WHERE name = 't'"),
             Catch::Contains("not here"));
  s.check_equal("o", "id");
  CHECK(eventually([&] { return s.is_there("t"); }));  // until the next row
  deltamirror::Database(s.mirror(), deltamirror::Database::Mode::ReadWrite).exec("DROP TRIGGER no");
  s.cluster.execute("INSERT INTO t VALUES(0)");
  s.check_equal("t", "id");
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

// RLIMIT_FSIZE kills who does not ignore SIGXFSZ.
TEST_CASE("trouble: a file that may not grow any more is waited for as a full disk is",
          "[mirror][trouble][integration]") {
  Troubled s("CREATE TABLE t(id int PRIMARY KEY, v text)");
  s.seed_tables({"t"});
  s.start(false);
  s.catch_up();
  const auto limit = [&](Process& process, rlim_t bytes) {
    const rlimit now{bytes, RLIM_INFINITY};
    REQUIRE(prlimit(process.pid(), RLIMIT_FSIZE, &now, nullptr) == 0);
  };
  for (Process* const limited : {&*s.runner, &*s.streamer}) {
    // Not one page more of the mirror; its log is a file as well.
    limit(*limited, limited == &*s.runner ? 4096 : 512 * 1024);
    s.cluster.execute(
        "INSERT INTO t SELECT g, repeat(md5(g::text), 20) FROM generate_series(1, 4000) g");
    CHECK(eventually([&] { return limited->err().find("trying again") != std::string::npos; }));
    CHECK(limited->running());
    // Where nothing can be written, status has it from the process itself.
    const Result status = support::run({program("deltamirror"), "status", s.mirror()});
    CHECK(status.exit == Exit{1, 0});
    CHECK_THAT(status.out, Catch::Contains("TROUBLE: "));
    limit(*limited, RLIM_INFINITY);
    s.check_equal("t", "id || v");
    s.cluster.execute("TRUNCATE t");
    s.check_equal("t", "id || v");
  }
  s.end();
}

TEST_CASE("trouble: what waits for descriptors says once what it lacks, not at each try",
          "[mirror][trouble][integration]") {
  Troubled s("CREATE TABLE t(id int PRIMARY KEY)");
  s.seed_tables({"t"});
  bool any = false;
  for (int limit = 11; limit < 19; ++limit) {
    CAPTURE(limit);
    const std::string id = std::to_string(limit);
    s.cluster.execute("INSERT INTO t VALUES(" + id + ")");
    NotifySocket systemd(s.dir / ("notify" + id));
    Process process({"sh", "-c", "ulimit -n " + id + R"(; exec "$@")", "sh", program("deltamirror"),
                     "run", s.mirror(), "--daystream", s.stream()},
                    {.env = {{"NOTIFY_SOCKET", systemd.path().string()}}});
    // One a try; or there are enough descriptors to follow, if not to tell systemd so each time.
    REQUIRE(eventually([&] {
      const bool follows = s.value("SELECT count(*) FROM t WHERE id = " + id) == "1";
      return follows || systemd.messages().size() >= 4 || !process.running();
    }));
    if (!process.running()) continue;  // so few that SQLite opens no file
    process.signal(SIGTERM);
    CHECK(process.wait() == Exit{0, 0});
    std::istringstream said(process.err());
    std::set<std::string> lines;
    for (std::string line; std::getline(said, line);) {
      any |= line.find("nobody can ask") != std::string::npos;
      INFO(line);
      CHECK(lines.insert(line.substr(line.find(' ', line.find(' ') + 1))).second);
    }
  }
  CHECK(any);
}
