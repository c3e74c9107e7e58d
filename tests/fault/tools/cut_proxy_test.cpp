#include "support/cut_proxy.h"

#include <catch2/catch.hpp>

#include "support/cluster.h"

using namespace support;
using Direction = CutProxy::Direction;
using Fault = CutProxy::Fault;

namespace {

// Whether a small session through the proxy ended well, and its answer was right.
bool session_works(const CutProxy& proxy) {
  try {
    Session session(proxy.conninfo() + " user=postgres dbname=postgres connect_timeout=30");
    return session.scalar("SELECT count(*) FROM generate_series(1, 1000)") == "1000";
  } catch (const daystream::Error&) {
    return false;
  }
}

}  // namespace

TEST_CASE("cut proxy: forwards, and counts the same bytes for the same session",
          "[fault][tools][proxy]") {
  const Cluster cluster;
  // Counted while the session is open: when its goodbye comes through is anybody's guess.
  const auto bytes_up = [&] {
    const CutProxy proxy(cluster.socket_dir());
    Session session(proxy.conninfo() + " user=postgres dbname=postgres");
    CHECK(session.scalar("SELECT count(*) FROM generate_series(1, 1000)") == "1000");
    CHECK(proxy.forwarded(Direction::ToClient) > 100);
    CHECK(proxy.connections() == 1);
    return proxy.forwarded(Direction::ToServer);
  };
  const auto once = bytes_up();
  CHECK(once > 100);
  CHECK(bytes_up() == once);
}

TEST_CASE("cut proxy: cuts after any byte, once", "[fault][tools][proxy]") {
  const Cluster cluster;
  CutProxy proxy(cluster.socket_dir());
  const Direction direction = GENERATE(Direction::ToServer, Direction::ToClient);
  const Fault fault = GENERATE(Fault::Close, Fault::Reset);
  REQUIRE(session_works(proxy));
  // Libpq's last message says goodbye: a cut inside it harms nobody.
  const std::uint64_t goodbye = direction == Direction::ToServer ? 5 : 0;
  const std::uint64_t size = proxy.forwarded(direction) - goodbye;
  for (std::uint64_t k = 0; k < size; k += 7) {
    CAPTURE(k);
    // The goodbye of the session before would be counted as this one's first bytes.
    REQUIRE(eventually([&] { return proxy.open_connections() == 0; }));
    proxy.arm(direction, k, fault);
    CHECK_FALSE(session_works(proxy));
    CHECK(proxy.fired());
    CHECK(session_works(proxy));
  }
}

TEST_CASE("cut proxy: a stalled connection hears nothing and is not told",
          "[fault][tools][proxy]") {
  const Cluster cluster;
  CutProxy proxy(cluster.socket_dir());
  Session session(proxy.conninfo() + " user=postgres dbname=postgres");
  const std::string pid = std::to_string(session.backend_pid());
  proxy.break_all(Fault::Stall);
  session.send("SELECT 1");
  CHECK(session.busy());
  CHECK(session_works(proxy));  // others go on
  CHECK(session.busy());
  CHECK(cluster.scalar("SELECT count(*) FROM pg_stat_activity WHERE pid = " + pid) == "1");
  proxy.drop_stalled();
  CHECK_THROWS_AS(session.finish(), daystream::Error);
  CHECK(eventually([&] {
    return cluster.scalar("SELECT count(*) FROM pg_stat_activity WHERE pid = " + pid) == "0";
  }));
}

TEST_CASE("cut proxy: holds everything back and lets it go on", "[fault][tools][proxy]") {
  const Cluster cluster;
  CutProxy proxy(cluster.socket_dir());
  Session session(proxy.conninfo() + " user=postgres dbname=postgres");
  proxy.hold(true);
  session.send("SELECT 1");
  CHECK(session.busy());
  proxy.hold(false);
  session.finish();
  proxy.delay(std::chrono::milliseconds{50});
  const auto begin = std::chrono::steady_clock::now();
  CHECK(session.scalar("SELECT 1") == "1");
  CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds{100});
}

TEST_CASE("cut proxy: without a server the client is turned away", "[fault][tools][proxy]") {
  const TempDir dir;
  const CutProxy proxy(dir.path());
  CHECK_THROWS_AS(Session(proxy.conninfo() + " user=postgres dbname=postgres"),
                  daystream::ConnectionLost);
}
