// `deltamirror up` and `down`: what they make at the server, and that nothing of it is left behind.
#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <optional>

#include "daystream/manifest.h"
#include "support/fault_preload.h"
#include "up_place.h"

using namespace support;
namespace fs = std::filesystem;

TEST_CASE("up: two mirrors with the same file name have a slot each", "[mirror][integration][up]") {
  Up place;
  const std::string other = (place.dir / "other/mirror.db").string();
  fs::create_directory(place.dir / "other");
  Process first(place.up(place.mirror(), {"--table", "a"}));
  REQUIRE(eventually([&] { return fs::exists(place.mirror() + ".sock"); }));
  first.signal(SIGTERM);
  CHECK(first.wait() == Exit{0, 0});
  place.cluster.execute("INSERT INTO a VALUES(2, 'y')");
  Process second(place.up(other, {"--table", "a"}));
  REQUIRE(eventually([&] { return fs::exists(other + ".sock"); }));
  CHECK(place.slots().size() == 2);
  for (const std::string& slot : place.slots()) {
    CHECK_THAT(slot, Catch::StartsWith("deltamirror_mirror_"));
  }
  place.cluster.execute("INSERT INTO a VALUES(3, 'z')");
  place.up_and_stop({"--table", "a"});
  CHECK(place.value("SELECT count(*) FROM a") == "3");
  second.signal(SIGTERM);
  CHECK(second.wait() == Exit{0, 0});
}

TEST_CASE("up: what is wrong is said before a slot is made", "[mirror][integration][up]") {
  Up place;
  place.cluster.execute("CREATE ROLE reader LOGIN REPLICATION");
  const auto refused = [&](const Texts& more, const std::string& says) {
    const Result result = run(place.up(place.mirror(), more));
    CAPTURE(result.err);
    CHECK_FALSE(result.ok());
    CHECK(result.err.find(says) != std::string::npos);
    CHECK(result.err.find("created replication slot") == std::string::npos);
    CHECK(place.nothing_is_left(place.mirror()));
  };
  refused({"--table", "nope"}, "does not exist");
  refused({"--table", "keyless"}, "has no key");
  refused({"--table", "a", "--columns", "id,nope"}, "nope");
  refused({"--table", "a", "--where", "nope = 1"}, "nope");
  refused({"--table", "a", "-d", place.cluster.conninfo("postgres", "reader")},
          "permission denied");
  std::ofstream(place.mirror() + "-wal") << "x";
  CHECK_THAT(run(place.up(place.mirror(), {"--table", "a"})).err, Catch::Contains("exists"));
  CHECK(place.slots().empty());
}

TEST_CASE("up: a seed that fails or is stopped leaves no slot", "[mirror][integration][up]") {
  Up place;
  SECTION("it fails") {
    const Result failed =
        run(place.up(place.mirror(), {"--query", "SELECT 1 / (id - 1) AS x FROM a", "--as",
                                      "divided", "--table", "a"}));
    CHECK_FALSE(failed.ok());
    CHECK_THAT(failed.err, Catch::Contains("division by zero"));
    CHECK_THAT(failed.err, Catch::Contains("dropped replication slot"));
  }
  SECTION("it is stopped") {
    Process stopped(place.up(place.mirror(), {"--query", "SELECT pg_sleep(600)::text AS x", "--as",
                                              "slow", "--table", "a"}),
                    {.own_group = true});
    REQUIRE(eventually([&] {
      return place.cluster.scalar(
                 "SELECT count(*) FROM pg_stat_activity WHERE wait_event = "
                 "'PgSleep'") == "1";
    }));
    CHECK(place.slots().size() == 1);
    stopped.signal_group(SIGINT);
    stopped.wait();
    CHECK_THAT(stopped.err(), Catch::Contains("dropped replication slot"));
  }
  CHECK(place.nothing_is_left(place.mirror()));
}

TEST_CASE("up: of two that begin the same mirror the second touches nothing",
          "[mirror][integration][up]") {
  Up place;
  Process first(place.up(place.mirror(), {"--query", "SELECT pg_sleep(600)::text AS x", "--as",
                                          "slow", "--table", "a"}));
  REQUIRE(eventually([&] { return fs::exists(place.mirror() + ".lock"); }));
  const bool early = GENERATE(true, false);
  if (!early) REQUIRE(eventually([&] { return place.slots().size() == 1; }));
  const Result second = run(place.up(place.mirror(), {"--table", "a"}));
  INFO(second.err);
  CHECK(second.exit == Exit{1, 0});
  CHECK_THAT(second.err, Catch::Contains("is in use by deltamirror (pid"));
  CHECK_THAT(second.err, !Catch::Contains("dropped") && !Catch::Contains("created"));
  REQUIRE(eventually([&] { return place.slots().size() == 1; }));
  CHECK(eventually([&] { return fs::exists(place.mirror() + ".seeding"); }));
  CHECK(fs::exists(place.mirror() + ".daystream"));
  CHECK(first.running());
  first.signal(SIGINT);
  first.wait();
  CHECK(place.nothing_is_left(place.mirror()));
}

TEST_CASE("up: a table more on the command line comes into the mirror",
          "[mirror][integration][up]") {
  Up place;
  place.up_and_stop({"--table", "a"});
  place.cluster.execute("INSERT INTO a VALUES(2, 'y')");
  place.up_and_stop({"--table", "b"});
  CHECK(place.value("SELECT count(*) FROM b") == "2");
  CHECK(place.value("SELECT count(*) FROM a") == "2");
  place.cluster.execute("INSERT INTO a VALUES(3, 'z'); INSERT INTO b VALUES(3)");
  place.up_and_stop({"--table", "a", "--table", "b"});
  CHECK(place.value("SELECT count(*) FROM a") == "3");
  CHECK(place.value("SELECT count(*) FROM b") == "3");
  const Result other = run(place.up(place.mirror(), {"--table", "a", "--columns", "id"}));
  CHECK(other.exit == Exit{2, 0});
  CHECK_THAT(other.err, Catch::Contains("the mirror has table \"a\" otherwise"));
}

TEST_CASE("up: tables that are added and removed by command are so in the stream as well",
          "[mirror][integration][up]") {
  Up place;
  place.up_and_stop({"--table", "a"});
  const auto filter = [&] {
    return daystream::Manifest::load(place.mirror() + ".daystream").holdings.back().tables;
  };
  REQUIRE(filter() == "\"a\"");
  const auto command = [&](const std::string& verb, const std::string& table) {
    Texts argv = {program("deltamirror"), verb, place.mirror(), "--table", table};
    if (verb == "seed") argv.insert(argv.end(), {"-d", place.cluster.conninfo()});
    return run(argv);
  };
  std::optional<Process> owner;
  const bool runs = GENERATE(true, false);
  CAPTURE(runs);
  const auto follows_b = [&](const std::string& count) {
    INFO(owner->err());
    return eventually([&] {
      return !owner->running() ||
             (place.value("SELECT count(*) FROM sqlite_schema WHERE name = 'b'") == "1" &&
              place.value("SELECT count(*) FROM b") == count);
    });
  };
  const auto start = [&] {
    owner.emplace(place.up(place.mirror(), {"--table", "a"}));
    REQUIRE(eventually([&] { return fs::exists(place.mirror() + ".sock"); }));
  };
  if (runs) start();
  CHECK(command("seed", "nope").exit.code > 0);
  CHECK(command("seed", "keyless").exit.code > 0);
  CHECK(filter() == "\"a\"");
  const Result added = command("seed", "b");
  INFO(added.err);
  REQUIRE(added.ok());
  CHECK(place.value("SELECT count(*) FROM b") == "2");
  CHECK(filter() == "\"a\",\"b\"");
  place.cluster.execute("INSERT INTO a VALUES(2, 'y'); INSERT INTO b VALUES(3)");
  if (!runs) start();
  CHECK(follows_b("3"));
  CHECK(eventually([&] { return place.value("SELECT count(*) FROM a") == "2"; }));
  if (!runs) {
    owner->signal(SIGTERM);
    CHECK(owner->wait() == Exit{0, 0});
  }
  const Result removed = command("remove", "b");
  CHECK(removed.ok());
  if (!runs) start();
  CHECK(eventually([&] { return filter() == "\"a\""; }));
  place.cluster.execute("INSERT INTO a VALUES(3, 'z'); INSERT INTO b VALUES(4)");
  CHECK(eventually([&] { return place.value("SELECT count(*) FROM a") == "3"; }));
  CHECK(run({program("deltamirror"), "status", place.mirror()}).ok());
  const Result named = command("remove", "a");
  CHECK_THAT(named.err, Catch::Contains("the command line of \"up\", which names it, brings table "
                                        "\"a\" back at the next start"));
  owner->signal(SIGTERM);
  CHECK(owner->wait() == Exit{0, 0});
}

TEST_CASE("seed and remove: of a stream that is not up's it is said what is to be done there",
          "[mirror][integration][up]") {
  Up place;
  place.up_and_stop({"--table", "a"});
  fs::remove(place.mirror() + ".up.json");  // somebody else's
  const Result refused = run({program("deltamirror"), "seed", place.mirror(), "--table", "b", "-d",
                              place.cluster.conninfo()});
  CHECK(refused.exit == Exit{3, 0});
  CHECK_THAT(refused.err, Catch::Contains("does not hold table") &&
                              Catch::Contains("start deltastream with --tables '\"a\",b'"));
  const Result removed = run({program("deltamirror"), "remove", place.mirror(), "--table", "a"});
  CHECK(removed.ok());
  CHECK_THAT(removed.err, Catch::Contains("still holds table a") &&
                              Catch::Contains("start deltastream without it in --tables"));
}

TEST_CASE("up: a table more that is wrong, or a second up, changes nothing",
          "[mirror][integration][up]") {
  Up place;
  place.up_and_stop({"--table", "a"});
  const Result wrong = run(place.up(place.mirror(), {"--table", "nope"}));
  CHECK(wrong.exit == Exit{2, 0});
  CHECK_THAT(wrong.err, Catch::Contains("does not exist"));
  Process first(place.up(place.mirror(), {"--table", "a"}));
  REQUIRE(eventually([&] { return fs::exists(place.mirror() + ".sock"); }));
  const Result second = run(place.up(place.mirror(), {"--table", "b"}));
  CHECK_FALSE(second.ok());
  CHECK_THAT(second.err, Catch::Contains("pid") && Catch::Contains(place.mirror()));
  first.signal(SIGTERM);
  CHECK(first.wait() == Exit{0, 0});
  CHECK(place.value("SELECT count(*) FROM _deltamirror_status") == "1");
}

TEST_CASE("down: removes mirror, stream and slot, and misses nothing that is gone",
          "[mirror][integration][up]") {
  Up place;
  place.up_and_stop({"--table", "a"});
  const std::string slot = place.slots().at(0);
  CHECK(run(place.down({})).exit == Exit{2, 0});
  CHECK(fs::exists(place.mirror()));
  {
    Process runs(place.up(place.mirror(), {"--table", "a"}));
    REQUIRE(eventually([&] { return fs::exists(place.mirror() + ".sock") || !runs.running(); }));
    INFO(runs.err());
    REQUIRE(runs.running());
    const Result refused = run(place.down());
    CHECK(refused.exit == Exit{1, 0});
    CHECK_THAT(refused.err, Catch::Contains("is in use by"));
    runs.signal(SIGTERM);
    CHECK(runs.wait() == Exit{0, 0});
  }
  const std::string part = GENERATE("", ".daystream", "slot");
  if (part == "slot") {
    place.cluster.execute("SELECT pg_drop_replication_slot('" + slot + "')");
  } else {
    fs::remove_all(place.mirror() + part);
  }
  const Result down = run(place.down());
  INFO(down.err);
  CHECK(down.ok());
  CHECK_THAT(down.out, Catch::Contains(part == "slot" ? "there is no replication slot " + slot
                                                      : "removed replication slot " + slot));
  CHECK_THAT(down.out, Catch::Contains("removed mirror " + place.mirror()));
  CHECK(place.nothing_is_left(place.mirror()));
  CHECK_FALSE(fs::exists(place.mirror() + ".lock"));
  const Result again = run(place.down());
  CHECK(again.ok());
  CHECK_THAT(again.out, Catch::Contains("there is no mirror"));
  const Result asked = run(place.down({}));
  CHECK(asked.exit == Exit{1, 0});
  CHECK_THAT(asked.err, Catch::Contains("there is no mirror"));
}

TEST_CASE("down: where the server is away, it says how to do without",
          "[mirror][integration][up]") {
  Up place;
  place.up_and_stop({"--table", "a"});
  const Texts away = {program("deltamirror"),
                      "down",
                      place.mirror(),
                      "--yes",
                      "-d",
                      "host=127.0.0.1 port=1 dbname=postgres"};
  const Result refused = run(away);
  CHECK(refused.exit == Exit{1, 0});
  CHECK_THAT(refused.err, Catch::Contains("could not connect") && Catch::Contains("HINT: ") &&
                              Catch::Contains("--keep-slot"));
  CHECK(fs::exists(place.mirror()));
  Texts kept = away;
  kept.push_back("--keep-slot");
  CHECK(run(kept).ok());
  CHECK_FALSE(fs::exists(place.mirror()));
}

TEST_CASE("down: Ctrl-C at its question is a no", "[mirror][integration][up]") {
  Up place;
  place.up_and_stop({"--table", "a"});
  // It asks at a terminal only.
  constexpr const char* kAtTerminal = R"(import os, pty, signal, sys
pid, terminal = pty.fork()
if pid == 0: os.execv(sys.argv[1], sys.argv[1:])
said = b""
while b"[y/N]" not in said: said += os.read(terminal, 4096)
os.kill(pid, signal.SIGINT)
try:
  while True:
    more = os.read(terminal, 4096)
    if not more: break
    said += more
except OSError: pass
print(said.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))";
  std::vector<std::string> argv = {"/usr/bin/python3", "-c", kAtTerminal};
  const std::vector<std::string> down = place.down({});
  argv.insert(argv.end(), down.begin(), down.end());
  const Result asked = run(argv);
  INFO(asked.err);
  CHECK_THAT(asked.out, Catch::Contains("nothing was removed"));
  CHECK(fs::exists(place.mirror()));
}

TEST_CASE("down: where it is ended on its way, up goes on or names it, and another finishes it",
          "[mirror][integration][up]") {
  Up place;
  for (std::uint64_t n = 1;; ++n) {
    CAPTURE(n);
    place.up_and_stop({"--table", "a"});
    const FaultPreload faults(
        {.calls = {"rename", "unlink"}, .path_prefix = place.dir.path(), .at = n, .sticky = true});
    run(place.down(), {.env = faults.env()});
    place.cluster.execute("INSERT INTO a SELECT max(id) + 1, 'y' FROM a");
    {
      Process again(place.up(place.mirror(), {"--table", "a"}));
      REQUIRE(eventually([&] { return fs::exists(place.mirror() + ".sock") || !again.running(); }));
      INFO(again.err());
      if (again.running()) {
        CHECK(eventually([&] {
          return place.rows("SELECT id FROM a ORDER BY 1") ==
                 place.source_rows("SELECT id FROM a ORDER BY 1");
        }));
        again.signal(SIGTERM);
        CHECK(again.wait() == Exit{0, 0});
      } else {
        CHECK(again.wait() == Exit{3, 0});
        CHECK_THAT(again.err(),
                   Catch::Contains("\"deltamirror down\" was begun") &&
                       Catch::Contains("deltamirror down " + place.mirror() + " -d …"));
      }
    }
    const Result down = run(place.down());
    INFO(down.err);
    CHECK(down.ok());
    CHECK(place.nothing_is_left(place.mirror()));
    for (const auto& entry : fs::directory_iterator(place.dir.path())) {
      CHECK(entry.path().filename().string().find(".removed") == std::string::npos);
    }
    if (faults.struck() > 0) continue;
    CHECK(n > 1);  // the faults were there
    break;
  }
}

TEST_CASE("up: starts a stream for each source that a configuration names",
          "[mirror][integration][up]") {
  Up place;
  place.cluster.create_database("other");
  place.cluster.execute("CREATE TABLE c(id int PRIMARY KEY); INSERT INTO c VALUES(7)", "other");
  const std::string config = (place.dir / "c.json").string();
  std::ofstream(config) << R"({"sources": [{"name": "eu", "daystream": ")"
                        << (place.dir / "eu").string() << R"(", "connection": ")"
                        << place.cluster.conninfo()
                        << R"(", "tables": [{"table": "a"}]}, {"name": "us", "daystream": ")"
                        << (place.dir / "us").string() << R"(", "connection": ")"
                        << place.cluster.conninfo("other") << R"(", "tables": [{"table": "c"}]}]})";
  Process up({program("deltamirror"), "up", place.mirror(), "--config", config});
  REQUIRE(eventually([&] { return fs::exists(place.mirror() + ".sock") || !up.running(); }));
  INFO(up.err());
  REQUIRE(up.running());
  CHECK(place.slots().size() == 2);
  place.cluster.execute("INSERT INTO c VALUES(8)", "other");
  CHECK(eventually([&] { return place.value("SELECT count(*) FROM c") == "2"; }));
  up.signal(SIGTERM);
  CHECK(up.wait() == Exit{0, 0});
  const Result down =
      run({program("deltamirror"), "down", place.mirror(), "--config", config, "--yes"});
  INFO(down.err);
  CHECK(down.ok());
  CHECK(place.nothing_is_left(place.mirror()));
  CHECK_FALSE(fs::exists(place.dir / "eu"));
}

TEST_CASE("mirror: a file that is none is left as it is, whatever is asked",
          "[mirror][integration][up]") {
  Up place;
  std::ofstream(place.dir / "c.json") << R"({"tables": [{"table": "a"}]})";
  deltamirror::Database(place.mirror(), deltamirror::Database::Mode::Create)
      .exec("CREATE TABLE mine(id INTEGER PRIMARY KEY); INSERT INTO mine VALUES(1)");
  const auto bytes = [&] {
    std::ifstream in(place.mirror(), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const std::string before = bytes();
  const std::string conninfo = place.cluster.conninfo();
  const std::string stream = (place.dir / "stream").string();
  const std::string config = (place.dir / "c.json").string();
  const std::vector<Texts> commands = {
      {"run", "--daystream", stream},
      {"run", "--config", config, "--daystream", stream},
      {"up", "-d", conninfo, "--table", "a"},
      {"down", "-d", conninfo, "--yes"},
      {"seed", "-d", conninfo, "--table", "a"},
      {"reseed", "-d", conninfo, "--table", "a"},
      {"remove", "--table", "a"},
      {"verify", "-d", conninfo, "--repair"},
      {"status"},
      {"wait", "--lsn", "0/1"},
      {"doctor"},
  };
  for (const Texts& command : commands) {
    Texts argv = {program("deltamirror"), command.front(), place.mirror()};
    argv.insert(argv.end(), command.begin() + 1, command.end());
    const Result result = run(argv);
    CAPTURE(command.front(), result.err, result.out);
    CHECK(result.exit == Exit{3, 0});
    CHECK_THAT(result.err + result.out, Catch::Contains("is not a mirror"));
    CHECK(bytes() == before);
    for (const char* beside : {".lock", "-wal", "-shm", "-journal", ".daystream"}) {
      CHECK_FALSE(fs::exists(place.mirror() + beside));
    }
  }
  CHECK(place.slots().empty());
}
