// What a mirror does when the stream does not lead to where PostgreSQL is: it compares, and writes
// what differs.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "lines.h"
#include "owner/unix_socket.h"
#include "pipeline.h"
#include "support/slot.h"

using namespace support;
using nlohmann::json;

namespace {

struct Gap : Pipeline {
  explicit Gap(const std::string& schema) {
    cluster.execute(schema);
    start_stream();
  }
  std::string mirror_of(int number) const {
    return (dir / ("m" + std::to_string(number) + ".db")).string();
  }
  Texts stream_argv() const {
    return {program("deltastream"), "-d", cluster.conninfo(), "-S", "mirror", "-D", stream()};
  }
  // Changes made by `sql` are in no stream.
  void lose(const std::string& sql) {
    streamer->signal(SIGTERM);
    streamer->wait();
    drop_slot(cluster, "mirror");
    cluster.execute(sql);
    Texts again = stream_argv();
    again.push_back("--recreate-slot");
    run_ok(again);
    streamer.emplace(stream_argv());
  }
  void start(const Texts& more = {}) {
    Texts argv = {program("deltamirror"), "run", mirror(), "--daystream", stream(), "-d",
                  cluster.conninfo()};
    argv.insert(argv.end(), more.begin(), more.end());
    runner.emplace(argv);
  }
  void check_equal(const std::string& table, const std::string& columns) const {
    INFO(runner->err());
    const std::string sql = "SELECT " + columns + " FROM " + table + " ORDER BY 1";
    CHECK(eventually([&] { return rows(sql) == source_rows(sql); }));
  }
  void end() {
    runner->signal(SIGTERM);
    INFO(runner->err());
    CHECK(runner->wait() == Exit{0, 0});
  }
  json status() const {
    return json::parse(run({program("deltamirror"), "status", mirror(), "--json"}).out);
  }
};

constexpr const char* kKeyed =
    "CREATE TABLE t(id int PRIMARY KEY, v text); CREATE TABLE o(id int PRIMARY KEY);"
    "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 10000) i";

}  // namespace

TEST_CASE("heal: of ten thousand rows the one that differs after a gap is written",
          "[mirror][heal][integration]") {
  Gap s(kKeyed);
  REQUIRE(s.seed({"--table", "t", "--table", "o"}).ok());
  const std::string path = (s.dir / "changes.sock").string();
  s.start({"--on-commit", "socket:" + path});
  s.catch_up();
  const daystream::UniqueFd listener = deltamirror::connect_to(path);
  const auto heard = [&] { return json::parse(next_line(listener)); };
  CHECK(heard().at("version") == 1);
  // Readers see both tables as they were, or both as they are.
  const std::string both = "SELECT (SELECT v FROM t WHERE id = 4711) || (SELECT count(*) FROM o)";
  std::set<std::string> seen;
  std::atomic<bool> healed = false;
  std::thread reader([&] {
    while (!healed) seen.insert(s.value(both));
    seen.insert(s.value(both));
  });
  s.lose("BEGIN; UPDATE t SET v = 'in the gap' WHERE id = 4711; INSERT INTO o VALUES(1); COMMIT");
  CHECK(heard().at("tables") == json::parse(R"({"o": [[1]], "t": [[4711]]})"));
  healed = true;
  reader.join();
  CHECK(seen == std::set<std::string>{"v47110", "in the gap1"});
  s.check_equal("t", "id || v");
  CHECK_THAT(s.runner->err(), Catch::Contains("10001 rows in place, 2 of them written"));
  const json tables = s.status().at("tables");
  for (const json& table : tables) {
    CHECK(table.at("state") == "following");
    CHECK(table.at("written_rows") == 1);
  }
  s.cluster.execute("INSERT INTO t VALUES(20000, 'after'); INSERT INTO o VALUES(2)");
  s.check_equal("t", "id || v");
  s.check_equal("o", "id");
  s.end();
  s.start();  // from where it is now
  s.cluster.execute("DELETE FROM t WHERE id = 1");
  s.check_equal("t", "id || v");
  CHECK_THAT(s.runner->err(), !Catch::Contains("comparing"));
  s.end();
}

TEST_CASE("heal: what cannot be compared after a gap is copied whole, all tables at once",
          "[mirror][heal][integration]") {
  Gap s(kKeyed);
  REQUIRE(s.seed({"--table", "t", "--table", "o"}).ok());
  s.start();
  s.catch_up();
  std::string change;
  SECTION("too many rows") {
    change =
        "UPDATE t SET v = v || '!'; INSERT INTO t SELECT i, 'n' FROM generate_series(10001, 40000) "
        "i";
  }
  SECTION("another shape") {
    change = "ALTER TABLE t ADD w int DEFAULT 3; UPDATE t SET v = 'x' WHERE id = 5";
  }
  SECTION("another table") {
    change =
        "DROP TABLE t; CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t VALUES(1, 'new')";
  }
  SECTION("no table") {
    change = "DROP TABLE t";
  }
  s.lose(change + "; INSERT INTO o VALUES(7)");
  s.check_equal("o", "id");
  const auto state = [&] {
    return s.value("SELECT state FROM _deltamirror_tables WHERE name = 't'");
  };
  if (change == "DROP TABLE t") {
    CHECK(eventually([&] { return state() == "waiting"; }));
    s.cluster.execute("CREATE TABLE t(id int PRIMARY KEY, v text)");
    REQUIRE(eventually([&] { return state() == "following"; }));
  }
  s.check_equal("t", "id || v");
  CHECK_THAT(s.runner->err(), Catch::Contains("copying the tables whole"));
  s.cluster.execute("INSERT INTO t VALUES(50000, 'after'); INSERT INTO o VALUES(8)");
  s.check_equal("t", "id || v");
  s.check_equal("o", "id");
  s.end();
}

TEST_CASE("heal: no more mirrors copy at once than the server may be asked for",
          "[mirror][heal][integration]") {
  Gap s(kKeyed);
  std::vector<Process> mirrors;
  for (int i = 0; i < 3; ++i) {
    run_ok({program("deltamirror"), "seed", s.mirror_of(i), "-d", s.cluster.conninfo(),
            "--daystream", s.stream(), "--table", "t"});
  }
  // Whoever has the place waits for the table.
  Session lock = s.cluster.session();
  s.streamer->signal(SIGTERM);
  s.streamer->wait();
  drop_slot(s.cluster, "mirror");
  s.cluster.execute("DELETE FROM t WHERE id = 1");
  Texts again = s.stream_argv();
  again.push_back("--recreate-slot");
  run_ok(again);
  s.streamer.emplace(s.stream_argv());
  lock.execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
  for (int i = 0; i < 3; ++i) {
    mirrors.emplace_back(Texts{program("deltamirror"), "run", s.mirror_of(i), "--daystream",
                               s.stream(), "-d", s.cluster.conninfo(), "--max-copies", "1"});
  }
  const auto waits = [](const Process& mirror) {
    return mirror.err().find("waiting to copy t: there is no place") != std::string::npos;
  };
  const auto waiting = [&] { return std::count_if(mirrors.begin(), mirrors.end(), waits); };
  const std::string places = "SELECT count(*) FROM pg_locks WHERE classid = 1684431728 AND granted";
  CHECK(eventually([&] { return waiting() == 2; }));
  CHECK(waiting() == 2);
  CHECK(s.cluster.scalar(places) == "1");
  const auto state = [&](int i) {
    const Result told = run({program("deltamirror"), "status", s.mirror_of(i), "--json"});
    return json::parse(told.out).at("state").get<std::string>();
  };
  for (int i = 0; i < 3; ++i) {
    if (waits(mirrors[i])) CHECK(eventually([&] { return state(i) == "waiting"; }));
  }

  // The one that has the place is killed, or is done: the others go on by themselves.
  int killed = -1;
  SECTION("killed") {
    for (int i = 0; i < 3; ++i) {
      if (!waits(mirrors[i])) killed = i;
    }
    REQUIRE(killed >= 0);
    mirrors[killed].signal(SIGKILL);
    mirrors[killed].wait();
  }
  SECTION("done") {}
  lock.execute("COMMIT");
  s.cluster.execute("INSERT INTO t VALUES(20000, 'after')");
  const std::string sql = "SELECT id FROM t ORDER BY 1";
  for (int i = 0; i < 3; ++i) {
    if (i == killed) continue;
    INFO(mirrors[i].err());
    CHECK(eventually([&] {
      const deltamirror::Database db(s.mirror_of(i), deltamirror::Database::Mode::ReadOnly);
      return db.value("SELECT count(*) || ' ' || min(id) || ' ' || max(id) FROM t") ==
             "10000 2 20000";
    }));
    CHECK(state(i) == "following");
    CHECK_THAT(mirrors[i].err(),
               Catch::Contains("of them written") && !Catch::Contains("tables whole"));
    mirrors[i].signal(SIGTERM);
    CHECK(mirrors[i].wait() == Exit{0, 0});
  }
}
