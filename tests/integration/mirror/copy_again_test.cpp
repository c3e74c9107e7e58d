// What makes a mirror copy all of its tables again.
#include "troubled.h"

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>

#include "support/false_server.h"

using namespace support;

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
  CHECK_THAT(s.runner->err(), Catch::Contains("run: deltamirror run "));
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

TEST_CASE("trouble: another trouble is said, however long there has been one",
          "[mirror][trouble][integration]") {
  Troubled s("CREATE TABLE t(id int PRIMARY KEY)");
  s.seed_tables({"t"});
  FalseServer server("");
  s.runner.emplace(Texts{program("deltamirror"), "run", s.mirror(), "--daystream", server.url()});
  const auto says = [&](const char* what) {
    return eventually([&] { return s.runner->err().find(what) != std::string::npos; });
  };
  CHECK(says("the server ended the connection without an answer; trying again"));
  REQUIRE(eventually([&] { return server.asked() >= 4; }));
  server.set_answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
  INFO(s.runner->err());
  CHECK(says("HTTP status 503; trying again"));
  s.end();
}

TEST_CASE("trouble: what each try to copy says is said once, and then each minute",
          "[mirror][trouble][integration]") {
  Troubled s(
      "CREATE TABLE t(id int PRIMARY KEY); CREATE TYPE mood AS ENUM('good', 'bad');"
      "CREATE TABLE p(id int PRIMARY KEY, m mood); CREATE TABLE q(id int PRIMARY KEY, m mood);"
      "INSERT INTO p VALUES(1, 'bad'); INSERT INTO q VALUES(1, 'bad');"
      // No output function knows that value any more.
      "DELETE FROM pg_enum WHERE enumlabel = 'bad'");
  s.seed_tables({"t"});
  const std::string config = (s.dir / "c.json").string();
  std::ofstream(config) << R"({"tables": [{"table": "t"}, {"table": "p"}, {"table": "q"}]})";
  s.start(true, {"--config", config});
  const auto count = [](const std::string& text, const std::string& what) {
    int times = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++times;
    return times;
  };
  const auto tries = [&] {
    return count(s.cluster.log_tail(1 << 20), "invalid internal value for enum");
  };
  REQUIRE(eventually([&] { return tries() >= 6; }));
  s.cluster.execute("INSERT INTO t VALUES(1)");
  s.check_equal("t", "id");
  s.end();
  const std::string err = s.runner->err();
  INFO(err);
  CHECK(count(err, "copying the other tables again: could not copy p") +
            count(err, "copying the other tables again: could not copy q") ==
        1);
  CHECK(count(err, "INFO deltamirror: copying p, q from PostgreSQL") == 1);
  CHECK(count(err, "WARN deltamirror: table p is parked") == 1);
}
