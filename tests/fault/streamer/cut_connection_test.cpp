// The connection to PostgreSQL breaks after every byte of a small session.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "common/recorded_session.h"
#include "common/seed.h"
#include "support/cut_proxy.h"

using namespace fault;
using support::CutProxy;
using Direction = CutProxy::Direction;
using Fault = CutProxy::Fault;

namespace {

std::string through(const CutProxy& proxy) {
  return proxy.conninfo() + " user=postgres dbname=postgres";
}

// Streams the history with one cut and judges the outcome; true if the cut came about.
bool survives_cut(RecordedSession& session, CutProxy& proxy, Direction direction, std::uint64_t k,
                  Fault fault) {
  CAPTURE(static_cast<int>(direction), k, static_cast<int>(fault));
  const support::TempDir dir;
  session.fresh_slot();
  proxy.arm(direction, k, fault);
  const support::Result result = support::run(session.deltastream(dir / "d", {}, through(proxy)));
  INFO(result.err);
  CHECK(result.exit == support::Exit{0, 0});
  CHECK(session.complaint(dir / "d") == "");
  CHECK(session.confirmed_flush() <= support::check_stream(dir / "d").last_lsn());
  return proxy.fired();
}

}  // namespace

TEST_CASE("deltastream: a connection cut after any byte loses nothing and repeats nothing",
          "[fault][deltastream][cut]") {
  RecordedSession session;
  CutProxy proxy(session.cluster().socket_dir());
  Random random("cut");
  for (const Direction direction : {Direction::ToServer, Direction::ToClient}) {
    session.fresh_slot();
    proxy.disarm();
    {
      const support::TempDir dir;
      support::run_ok(session.deltastream(dir / "d", {}, through(proxy)));
    }
    const std::uint64_t size = proxy.forwarded(direction);
    REQUIRE(size > 200);
    std::uint64_t fired = 0, tried = 0;
    if (long_form()) {
      // Both faults at each place take turns from run to run.
      for (std::uint64_t k = 0; k < size; ++k) {
        if (!in_shard(k)) continue;
        ++tried;
        fired += survives_cut(session, proxy, direction, k,
                              (k + run_seed()) % 2 == 0 ? Fault::Close : Fault::Reset);
      }
      WARN(fmt::format("cut after each of {} bytes {}: {} tried, {} came about", size,
                       direction == Direction::ToServer ? "to the server" : "to the client", tried,
                       fired));
    } else {
      for (const int count = rounds(15, 0); tried < static_cast<std::uint64_t>(count); ++tried) {
        fired += survives_cut(session, proxy, direction, random.below(size),
                              random.one_in(2) ? Fault::Close : Fault::Reset);
      }
    }
    // A session is a few bytes longer or shorter each time; a cut behind its end cuts nothing.
    CHECK(fired * 10 >= tried * 8);
  }
}

TEST_CASE("deltastream: cut again and again while it recovers, it comes to the end",
          "[fault][deltastream][cut]") {
  RecordedSession session;
  CutProxy proxy(session.cluster().socket_dir());
  Random random("cut again");
  for (int round = 0, count = rounds(3, 300); round < count; ++round) {
    CAPTURE(round);
    const support::TempDir dir;
    session.fresh_slot();
    // Far enough in for some of the stream to have come, each time.
    proxy.arm(Direction::ToClient, 3000 + random.below(3000), Fault::Reset);
    support::Process stream(session.deltastream(dir / "d", {}, through(proxy)));
    for (int cuts = 0; cuts < 4; ++cuts) {
      REQUIRE(support::eventually([&] { return proxy.fired() || !stream.running(); }));
      if (!stream.running()) break;
      proxy.arm(Direction::ToClient, 2000 + random.below(6000), Fault::Close);
    }
    proxy.disarm();
    CHECK(stream.wait() == support::Exit{0, 0});
    CHECK(session.complaint(dir / "d") == "");
  }
}
