// The way README describes: roles with no more rights than they need, and everything in one
// command.
#include <catch2/catch.hpp>
#include <csignal>

#include "pipeline.h"

using namespace pipeline;
using support::eventually;
using support::program;
using support::run_ok;

TEST_CASE("readme: roles made with the extension's grants are enough", "[pipeline][readme]") {
  Pipeline p;
  p.execute(
      "REVOKE CONNECT, TEMPORARY ON DATABASE app FROM PUBLIC; REVOKE CREATE ON SCHEMA public FROM "
      "PUBLIC;"
      "CREATE SCHEMA ops; CREATE TABLE flights (id bigint PRIMARY KEY, status text);"
      "CREATE TABLE ops.aircraft (tail text PRIMARY KEY, type text, seats int);"
      "INSERT INTO flights VALUES (1, 'scheduled'); INSERT INTO ops.aircraft VALUES ('N1', 'A320', "
      "180);"
      "CREATE EXTENSION deltaflood; CREATE ROLE streamer LOGIN REPLICATION; CREATE ROLE mirror "
      "LOGIN;"
      "SELECT deltaflood.grant_stream('streamer');"
      "SELECT deltaflood.grant_seed('mirror', 'flights', 'ops.aircraft')");
  const std::string streamer = p.cluster().conninfo(Pipeline::kDatabase, "streamer");
  const std::string mirror = p.cluster().conninfo(Pipeline::kDatabase, "mirror");

  Process stream({program("deltastream"), "-d", streamer, "-S", "prod", "-D",
                  p.daystream().string(), "--create-slot", "--if-not-exists"});
  REQUIRE(eventually(
      [&] { return std::filesystem::exists(p.daystream() / "durable") || !stream.running(); }));
  INFO(stream.err());
  REQUIRE(stream.running());
  run_ok({program("deltamirror"), "seed", p.mirror().string(), "-d", mirror, "--daystream",
          p.daystream().string(), "--table", "flights", "--table", "ops.aircraft", "--query",
          "SELECT tail, type FROM ops.aircraft"});
  p.start_mirror();
  p.execute(
      "UPDATE flights SET status = 'en route'; INSERT INTO ops.aircraft VALUES ('N2', 'B738', 189);"
      "UPDATE ops.aircraft SET seats = seats + 1");
  p.wait_until_caught_up();
  CHECK(difference(p, "flights", p.mirror()) == "");
  CHECK(sqlite_rows(p.mirror(), "ops_aircraft", "tail") == Rows{{"N1", "A320"}, {"N2", "B738"}});
  CHECK(p.scalar("SELECT string_agg(plugin || ' ' || active, ',') FROM deltaflood.slots") ==
        "deltaflood true");
}

TEST_CASE("readme: up starts a stream, seeds and follows, and goes on where it was",
          "[pipeline][readme]") {
  Pipeline p;
  p.execute("CREATE TABLE flights (id bigint PRIMARY KEY); INSERT INTO flights VALUES (1)");
  const std::vector<std::string> up = {
      program("deltamirror"), "up", p.mirror().string(), "-d", p.conninfo(), "--table", "flights"};
  // The child is looked for beside deltamirror, as installed, or in PATH.
  const Process::Options options{
      .env = {{"PATH", support::build_dir() + "/streamer:" + std::getenv("PATH")}}};
  for (const std::string next : {"2", "3"}) {
    Process process(up, options);
    p.execute("INSERT INTO flights VALUES (" + next + ")");
    const bool there = eventually([&] {
      return !process.running() ||
             (std::filesystem::exists(p.mirror()) && difference(p, "flights", p.mirror()) == "");
    });
    INFO(process.err());
    REQUIRE(there);
    REQUIRE(process.running());
    process.signal(SIGTERM);
    CHECK(process.wait() == support::Exit{0, 0});
  }
}
