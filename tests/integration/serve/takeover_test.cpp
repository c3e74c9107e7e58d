// The relay as hot spare of the stream host, with a real PostgreSQL.
#include <catch2/catch.hpp>
#include <csignal>

#include "../pipeline/pipeline.h"
#include "daystream/durable.h"
#include "server_process.h"

using namespace pipeline;
using serve_test::ServerProcess;
using support::eventually;

TEST_CASE("pull: deltastream takes over where the copy ends, nothing is lost or twice",
          "[pull][takeover]") {
  Pipeline p;
  p.execute("CREATE TABLE fox (id bigserial PRIMARY KEY, name text)");
  p.start_stream();
  ServerProcess server({"app=" + p.daystream().string()});
  const auto spare = p.folder() / "spare";
  Process puller({support::program("daystream"), "pull", server.url("/app"), spare.string()});
  p.seed({"fox"});
  for (int i = 0; i < 50; ++i) {
    p.execute("INSERT INTO fox (name) SELECT 'fox ' || g FROM generate_series(1, 20) g");
  }

  // The stream host dies once the relay has what it has confirmed.
  const auto position = [](const std::filesystem::path& directory) {
    const auto durable = daystream::Durable::load(directory);
    return durable ? durable->position : daystream::Position::begin();
  };
  REQUIRE(eventually([&] { return position(spare) == position(p.daystream()); }));
  p.stream().signal(SIGKILL);
  p.stream().wait();
  REQUIRE(eventually([&] { return position(spare) == position(p.daystream()); }));
  puller.signal(SIGTERM);
  CHECK(puller.wait() == support::Exit{0, 0});
  for (int i = 0; i < 20; ++i)
    p.execute("UPDATE fox SET name = name || '!' WHERE id % 20 = " + std::to_string(i));

  Process heir(
      {support::program("deltastream"), "-d", p.conninfo(), "-S", "app", "-D", spare.string()});
  Process mirror(
      {support::program("deltamirror"), "run", p.mirror().string(), "--daystream", spare.string()});
  p.execute("DELETE FROM fox WHERE id % 7 = 0");
  const std::string lsn = p.scalar("SELECT pg_current_wal_lsn()");
  support::run_ok({support::program("deltamirror"), "wait", p.mirror().string(), "--lsn", lsn,
                   "--timeout", "60"},
                  {}, std::chrono::seconds{90});
  CHECK(difference(p, "fox", p.mirror()).empty());
  check_daystream(spare);
  CHECK(support::run({support::program("daystream"), "verify", spare.string()}).ok());

  heir.signal(SIGTERM);
  CHECK(heir.wait() == support::Exit{0, 0});
}

TEST_CASE("remote: a mirror is seeded and fed by URL alone, also while the server is killed",
          "[remote][mirror]") {
  Pipeline p;
  p.execute("CREATE TABLE fox (id bigserial PRIMARY KEY, name text)");
  p.execute("INSERT INTO fox (name) SELECT 'fox ' || g FROM generate_series(1, 500) g");
  p.start_stream();
  std::optional<ServerProcess> server;
  server.emplace(std::vector<std::string>{"app=" + p.daystream().string()});
  const int port = server->port();
  const std::string url = server->url("/app");
  support::run_ok({support::program("deltamirror"), "seed", p.mirror().string(), "-d", p.conninfo(),
                   "--daystream", url, "--table", "fox"});
  Process mirror({support::program("deltamirror"), "run", p.mirror().string(), "--daystream", url});
  for (int round = 0; round < 3; ++round) {
    p.execute("UPDATE fox SET name = name || '!' WHERE id % 3 = " + std::to_string(round));
    p.execute("INSERT INTO fox (name) SELECT 'new ' || g FROM generate_series(1, 300) g");
    server->process().signal(SIGKILL);
    server->process().wait();
    p.execute("DELETE FROM fox WHERE id % 11 = " + std::to_string(round));
    server.emplace(std::vector<std::string>{"app=" + p.daystream().string()},
                   std::vector<std::string>{}, port);
  }
  p.wait_until_caught_up();
  CHECK(difference(p, "fox", p.mirror()).empty());
  CHECK(mirror.running());

  // A mirror that starts while its server is away waits for it.
  mirror.signal(SIGTERM);
  CHECK(mirror.wait() == support::Exit{0, 0});
  server->process().signal(SIGKILL);
  server->process().wait();
  Process later({support::program("deltamirror"), "run", p.mirror().string(), "--daystream", url});
  REQUIRE(
      support::eventually([&] { return later.err().find("trying again") != std::string::npos; }));
  p.execute("UPDATE fox SET name = 'late' WHERE id = 7");
  server.emplace(std::vector<std::string>{"app=" + p.daystream().string()},
                 std::vector<std::string>{}, port);
  p.wait_until_caught_up();
  CHECK(difference(p, "fox", p.mirror()).empty());
}
