// Mirrors by nats://, with a real PostgreSQL, are the same as those beside the stream; and what the
// broker has lost comes from a server.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <random>

#include "../pipeline/pipeline.h"
#include "../serve/server_process.h"
#include "broker.h"
#include "support/wait.h"

using namespace pipeline;
using nats_test::Broker;
using serve_test::ServerProcess;
using support::eventually;

TEST_CASE("nats: a mirror by nats:// is the same as one beside the stream", "[nats][mirrors]") {
  Pipeline p;
  p.execute("CREATE TABLE fox (id bigserial PRIMARY KEY, t text)");
  p.start_stream();
  Broker broker;
  Process publisher({support::program("daystream"), "publish", p.daystream(), broker.address()});
  p.execute("INSERT INTO fox (t) SELECT 'row ' || g FROM generate_series(1, 1000) g");
  p.seed({"fox"}, "far");
  Process mirror({support::program("deltamirror"), "run", p.mirror("far"), "--daystream",
                  broker.address(), "-d", p.conninfo()});
  std::mt19937 random(3);
  for (int round = 0; round < 12; ++round) {
    p.execute(fmt::format("UPDATE fox SET t = t || '{}' WHERE id % 7 = {}", round, round % 7));
    p.execute("INSERT INTO fox (t) SELECT 'more ' || g FROM generate_series(1, 100) g");
    p.execute(fmt::format("DELETE FROM fox WHERE id % 50 = {}", round));
    if (round % 4 == 3) broker.restart();
  }
  p.execute("INSERT INTO fox (t) SELECT repeat('large', 200) FROM generate_series(1, 5000) g");
  const std::string lsn = p.scalar("SELECT pg_current_wal_lsn()");
  const auto waited = support::run(
      {support::program("deltamirror"), "wait", p.mirror("far"), "--lsn", lsn, "--timeout", "60"},
      {}, std::chrono::seconds{90});
  INFO(mirror.err());
  INFO(publisher.err());
  REQUIRE(waited.ok());
  CHECK(difference(p, "fox", p.mirror("far")).empty());
}

TEST_CASE("nats: a mirror is seeded, followed and restored by nats://", "[nats][mirrors]") {
  Pipeline p;
  p.execute("CREATE TABLE fox (id bigserial PRIMARY KEY, t text)");
  p.start_stream();
  Broker broker;
  Process publisher({support::program("daystream"), "publish", p.daystream(), broker.address()});
  REQUIRE(eventually([&] { return nats_test::can_be_read(broker); }));
  p.execute("INSERT INTO fox (t) SELECT 'row ' || g FROM generate_series(1, 100) g");
  const std::string far = p.mirror("far");
  support::run_ok({support::program("deltamirror"), "seed", far, "-d", p.conninfo(), "--daystream",
                   broker.address(), "--table", "fox"});
  const std::string snapshot = (p.folder() / "snapshot.db").string();
  const auto follow_to_end = [&](const std::string& file) {
    const std::string lsn = p.scalar("SELECT pg_current_wal_lsn()");
    // It remembers where it reads.
    Process mirror({support::program("deltamirror"), "run", file});
    INFO(mirror.err());
    support::run_ok(
        {support::program("deltamirror"), "wait", file, "--lsn", lsn, "--timeout", "60"});
    CHECK(difference(p, "fox", file).empty());
  };
  p.execute("UPDATE fox SET t = t || '!'");
  follow_to_end(far);
  support::run_ok({support::program("deltamirror"), "snapshot", far, snapshot});
  p.execute("DELETE FROM fox WHERE id % 2 = 0");
  follow_to_end(far);
  const std::string was = (p.folder() / "was.db").string();
  support::run_ok({support::program("deltamirror"), "restore", was, "--snapshot", snapshot,
                   "--daystream", broker.address(), "--to", "latest"});
  CHECK(difference(p, "fox", was).empty());
}

TEST_CASE("nats: a consumer reads by nats://", "[nats]") {
  nats_test::Source source(2);
  Broker broker;
  REQUIRE(nats_test::publish(source, broker).ok());
  const support::TempDir dir;
  const std::string taken = (dir / "taken").string();
  const auto consumed = nats_test::daystream_command({"consume", broker.address(), "--checkpoint",
                                                      (dir / "at").string(), "--once", "--batch",
                                                      "--", "tee", taken});
  INFO(consumed.err);
  CHECK(support::read_file(taken).find("fox22") != std::string::npos);
}
