// What a stream host and its relays, mirrors and snapshots are to each other, with a real
// PostgreSQL.
#include <sqlite3.h>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "../pipeline/pipeline.h"
#include "daystream/durable.h"
#include "program/sha256.h"
#include "server_process.h"
#include "src/lock.h"

using namespace pipeline;
using serve_test::body_of;
using serve_test::ServerProcess;
using support::eventually;

namespace {

struct Fleet : Pipeline {
  Fleet() { execute("CREATE TABLE fox (id bigserial PRIMARY KEY, name text)"); }

  void add(int count) {
    execute("INSERT INTO fox (name) SELECT 'fox ' || g FROM generate_series(1, " +
            std::to_string(count) + ") g");
  }
  std::string lsn() { return scalar("SELECT pg_current_wal_flush_lsn()"); }
  bool is_confirmed(const std::string& lsn) {
    return scalar("SELECT confirmed_flush_lsn >= '" + lsn +
                  "' FROM pg_replication_slots WHERE slot_name = 'app'") == "t";
  }
  bool is_durable(const std::string& lsn, const std::filesystem::path& directory) {
    const auto durable = daystream::Durable::load(directory);
    return durable && durable->lsn >= *daystream::Lsn::parse(lsn);
  }
  nlohmann::json streamer() {
    std::ifstream file(daystream() / "status.json");
    return nlohmann::json::parse(file, nullptr, false);
  }
  // deltastream has looked at everything and says that it waits for this LSN's copies.
  bool waits_for_copies() {
    const auto told = streamer();
    return told.is_object() && told.contains("waiting_for") && told["waiting_for"].is_string();
  }
};

void end(Process& process) {
  process.signal(SIGKILL);
  process.wait();
}

}  // namespace

TEST_CASE("copies: PostgreSQL is told only what enough relays have, and a relay takes over",
          "[copies][takeover]") {
  Fleet p;
  const std::vector<std::string> required = {"--require-copies", "1", "-s", "1"};
  p.start_stream(required);
  std::optional<ServerProcess> server;
  const auto serve = [&](int port) {
    server.emplace(std::vector<std::string>{"app=" + p.daystream().string()},
                   std::vector<std::string>{"--record-copies"}, port);
  };
  serve(0);
  const int port = server->port();

  // Nobody has a copy: it is on disk here, and not confirmed.
  p.add(10);
  const std::string first = p.lsn();
  REQUIRE(eventually([&] { return p.is_durable(first, p.daystream()); }));
  REQUIRE(eventually([&] { return p.waits_for_copies(); }));
  CHECK_FALSE(p.is_confirmed(first));

  // A copy that only says so, or says what is not so, does not count.
  const std::string durable = daystream::Durable::load(p.daystream())->position.text();
  CHECK(serve_test::outcome_of(
            server->url("/app/copies?copy=liar&position=" + durable + "&lsn=" + first), "POST") ==
        "200");
  CHECK(serve_test::outcome_of(
            server->url("/app/copies?copy=liar&position=" + durable + "&crc=00000000"), "POST") ==
        "409 wrong-source");

  const auto spare = p.folder() / "spare";
  const std::vector<std::string> pull = {support::program("daystream"), "pull", server->url("/app"),
                                         spare};
  std::optional<Process> puller;
  puller.emplace(pull);
  CHECK(eventually([&] { return p.is_confirmed(first); }));
  CHECK(p.is_durable(first, spare));
  p.seed({"fox"});

  // The relay is gone: what comes is not confirmed, whatever is started again here.
  end(*puller);
  p.add(10);
  const std::string second = p.lsn();
  REQUIRE(eventually([&] { return p.is_durable(second, p.daystream()); }));
  end(server->process());
  serve(port);
  end(p.stream());
  p.start_stream(required);
  p.add(10);
  const std::string third = p.lsn();
  REQUIRE(eventually([&] { return p.is_durable(third, p.daystream()) && p.waits_for_copies(); }));
  CHECK_FALSE(p.is_confirmed(second));
  CHECK_FALSE(p.is_durable(second, spare));

  // The stream host is lost. The copy has all that was confirmed, PostgreSQL the rest.
  end(p.stream());
  end(server->process());
  Process heir({support::program("deltastream"), "-d", p.conninfo(), "-S", "app", "-D", spare});
  Process mirror({support::program("deltamirror"), "run", p.mirror(), "--daystream", spare});
  p.execute("DELETE FROM fox WHERE id % 7 = 0");
  support::run_ok(
      {support::program("deltamirror"), "wait", p.mirror(), "--lsn", p.lsn(), "--timeout", "60"},
      {}, std::chrono::seconds{90});
  CHECK(difference(p, "fox", p.mirror()).empty());
  check_daystream(spare);
  CHECK(support::run({support::program("daystream"), "verify", spare}).ok());
  CHECK(p.is_confirmed(third));
}

TEST_CASE("copies: of three relays the second furthest counts", "[copies]") {
  Fleet p;
  p.start_stream({"--require-copies", "2", "-s", "1"});
  ServerProcess server({"app=" + p.daystream().string()}, {"--record-copies"});
  const auto puller = [&](const std::string& name) {
    return Process({support::program("daystream"), "pull", server.url("/app"), p.folder() / name});
  };
  Process one = puller("one");
  p.add(5);
  const std::string first = p.lsn();
  REQUIRE(eventually([&] { return p.is_durable(first, p.folder() / "one"); }));
  REQUIRE(eventually([&] { return p.waits_for_copies(); }));
  CHECK_FALSE(p.is_confirmed(first));
  Process two = puller("two");
  CHECK(eventually([&] { return p.is_confirmed(first); }));
  CHECK(p.is_durable(first, p.folder() / "two"));
  end(one);
  Process three = puller("three");
  p.add(5);
  const std::string second = p.lsn();
  CHECK(eventually([&] { return p.is_confirmed(second); }));
}

TEST_CASE("copies: relays that are away do not hold up PostgreSQL's shutdown", "[copies]") {
  Fleet p;
  p.start_stream({"--require-copies", "1", "-s", "1"});
  p.add(5);
  REQUIRE(eventually([&] { return p.waits_for_copies(); }));
  p.cluster().stop();
  CHECK(eventually([&] {
    return p.stream().err().find("let go of the connection") != std::string::npos ||
           p.stream().err().find("trying again") != std::string::npos ||
           p.stream().err().find("WARN") != std::string::npos;
  }));
  CHECK(p.stream().running());
}

TEST_CASE("mirrors: one that follows an URL tells the server how far it is", "[remote][lag]") {
  Fleet p;
  p.start_stream();
  ServerProcess server({"app=" + p.daystream().string()});
  p.seed({"fox"});
  Process mirror(
      {support::program("deltamirror"), "run", p.mirror(), "--daystream", server.url("/app")});
  p.add(10);
  const std::string lsn = p.lsn();
  const auto mirror_told = [&]() -> nlohmann::json {
    const auto status = nlohmann::json::parse(body_of(server.url("/status")));
    for (const auto& copy : status["streams"][0]["copies"]) {
      if (copy["kind"] == "mirror") return copy;
    }
    return nullptr;
  };
  REQUIRE(eventually([&] {
    const auto told = mirror_told();
    return told.is_object() &&
           *daystream::Lsn::parse(told["lsn"].get<std::string>()) >= *daystream::Lsn::parse(lsn);
  }));
  const auto told = mirror_told();
  CHECK(told["copy"].get<std::string>().ends_with(":" + p.mirror().string()));
  CHECK(told["lag_seconds"].get<double>() < 60);
  CHECK(told["on_disk"] == false);
  CHECK(body_of(server.url("/metrics")).find("daystream_copy_lag_seconds{stream=\"app\"") !=
        std::string::npos);
  mirror.signal(SIGTERM);
  CHECK(mirror.wait() == support::Exit{0, 0});
}

TEST_CASE("snapshots: a mirror begins as a copy of one, without PostgreSQL", "[snapshots]") {
  Fleet p;
  p.start_stream();
  p.add(2000);
  p.seed({"fox"});
  Process first({support::program("deltamirror"), "run", p.mirror(), "--daystream", p.daystream()});
  p.add(100);
  support::run_ok(
      {support::program("deltamirror"), "wait", p.mirror(), "--lsn", p.lsn(), "--timeout", "60"});
  first.signal(SIGTERM);
  REQUIRE(first.wait() == support::Exit{0, 0});
  const auto folder = p.folder() / "snapshots";
  std::filesystem::create_directory(folder);
  std::filesystem::copy_file(p.mirror(), folder / "fox.db");
  p.execute("UPDATE fox SET name = name || '!' WHERE id % 3 = 0");

  ServerProcess server({"app=" + p.daystream().string()}, {"--snapshots", folder});
  const std::string id = daystream::program::sha256_of_file(folder / "fox.db", {});
  REQUIRE(eventually(
      [&] { return body_of(server.url("/app/snapshots")).find(id) != std::string::npos; }));
  // No name of a file is told, and none can be asked for.
  CHECK(body_of(server.url("/app/snapshots")).find("fox") == std::string::npos);
  CHECK(serve_test::outcome_of(server.url("/app/snapshot?id=fox.db")) == "404 no-such-snapshot");

  const auto other = p.mirror("other");
  const std::vector<std::string> seed = {support::program("deltamirror"), "seed", other, "--from",
                                         server.url("/app")};
  const auto forget = [&] {
    for (const char* end : {"", "-wal", "-shm", "-lock", ".sock"}) {
      std::filesystem::remove(other.string() + end);
    }
  };
  {
    INFO("all in one, and it follows");
    Process up({support::program("deltamirror"), "up", other, "--from", server.url("/app")});
    REQUIRE(eventually([&] { return std::filesystem::exists(other); }));
    support::run_ok(
        {support::program("deltamirror"), "wait", other, "--lsn", p.lsn(), "--timeout", "60"});
    CHECK(difference(p, "fox", other).empty());
    up.signal(SIGTERM);
    CHECK(up.wait() == support::Exit{0, 0});
  }
  {
    INFO("where it is read it remembers");
    const auto again = support::run({support::program("deltamirror"), "run", other, "--once"});
    INFO(again.err);
    CHECK(again.ok());
    CHECK(difference(p, "fox", other).empty());
  }
  const auto files_of_other = [&] {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(other.parent_path())) {
      count += entry.path().filename().string().starts_with(other.filename().string()) ? 1 : 0;
    }
    return count;
  };
  for (const bool whole : {true, false}) {
    INFO("down leaves nothing of it, and asks no PostgreSQL");
    CAPTURE(whole);
    CHECK(std::filesystem::exists(other) == whole);
    std::ofstream(other.string() + "." + id + ".part") << "x";
    Process::Options nowhere;
    nowhere.env = {{"PGHOST", p.folder() / "nowhere"}};
    const auto down =
        support::run({support::program("deltamirror"), "down", other, "--yes"}, nowhere);
    INFO(down.err);
    CHECK(down.ok());
    CHECK(down.out == "removed mirror " + other.string() + "\n");
    CHECK(files_of_other() == 0);
  }
  {
    INFO("it is the mirror of one process meanwhile");
    const daystream::UniqueFd held = daystream::lock_file(other.string() + ".lock", {});
    const auto result = support::run(seed);
    CHECK(result.exit.code == 1);
    CHECK(result.err.find("is in use by") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(other));
  }
  forget();
  {
    INFO("one that broke off is gone on with");
    const auto part = other.string() + "." + id + ".part";
    std::filesystem::copy_file(folder / "fox.db", part);
    std::filesystem::resize_file(part, 12345);
    const auto result = support::run(seed);
    CHECK(result.ok());
    CHECK(result.err.find("(12345 of them before)") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(part));
    CHECK(sqlite_rows(other, "fox", "id") == sqlite_rows(p.mirror(), "fox", "id"));
    const auto again = support::run(seed);
    CHECK(again.exit.code == 3);
  }
  forget();
  {
    INFO("bytes that are others are no mirror");
    const auto part = other.string() + "." + id + ".part";
    std::ofstream(part) << std::string(5000, 'x');
    const auto result = support::run(seed);
    CHECK(result.exit.code == 1);
    CHECK(result.err.find("has another SHA-256") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(other));
    CHECK(support::run(seed).ok());
  }
  forget();
  {
    INFO("a file that is no mirror is refused");
    std::ofstream(folder / "newer.db") << "nonsense";
    const std::string nonsense = daystream::program::sha256_of("nonsense");
    REQUIRE(eventually(
        [&] { return body_of(server.url("/app/snapshots")).find(nonsense) != std::string::npos; }));
    const auto result = support::run(seed);
    CHECK(result.exit.code == 3);
    CHECK(result.err.find("is no mirror") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(other));
  }
  forget();
  struct Hostile {
    const char* what;
    const char* made_by;
    const char* refusal;
  };
  for (const Hostile& hostile :
       {Hostile{"a schema that is a script",
                "CREATE INDEX named ON fox(name); PRAGMA writable_schema = ON;"
                "UPDATE sqlite_schema SET sql = sql || '; ATTACH ''other.db'' AS o' "
                "WHERE name = 'named'",
                "what should be one statement is several"},
        // Who reads it would not come to an end.
        Hostile{"a view without end in the place of the checkpoint",
                "ALTER TABLE _deltamirror_checkpoint RENAME TO before;"
                "CREATE VIEW _deltamirror_checkpoint AS SELECT before.* FROM before, "
                "(WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
                "SELECT count(*) FROM c)",
                "its \"_deltamirror_checkpoint\" is no table"}}) {
    INFO(hostile.what);
    const auto script = folder / "newer.db";
    std::filesystem::copy_file(folder / "fox.db", script,
                               std::filesystem::copy_options::overwrite_existing);
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(script.c_str(), &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, hostile.made_by, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(db);
    const std::string evil = daystream::program::sha256_of_file(script, {});
    REQUIRE(eventually(
        [&] { return body_of(server.url("/app/snapshots")).find(evil) != std::string::npos; }));
    const auto result = support::run(seed);
    INFO(result.err);
    CHECK(result.exit.code == 3);
    CHECK(result.err.find(hostile.refusal) != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(other));
    forget();
  }
  {
    INFO("who may read some tables only gets none");
    const auto keys = p.folder() / "keys";
    std::filesystem::create_directory(keys);
    const std::string token = support::run_ok(
        {support::program("daystream"), "token", keys / "tokens", "edge", "--tables", "fox"});
    std::ofstream(keys / "token") << token;
    ServerProcess limited({"app=" + p.daystream().string()},
                          {"--snapshots", folder, "--tokens", keys / "tokens"});
    Process::Options environment;
    environment.env = {{"DAYSTREAM_TOKEN_FILE", keys / "token"}};
    const auto result = support::run(
        {support::program("deltamirror"), "seed", other, "--from", limited.url("/app")},
        environment);
    CHECK(result.exit.code == 3);
  }
}
