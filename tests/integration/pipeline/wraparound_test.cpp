// Counters that end: a transaction id has 32 bits, and an LSN's lower half too.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "daystream/lsn.h"
#include "pipeline.h"

using namespace pipeline;
using support::eventually;
using support::program;

namespace {

constexpr std::uint32_t kIdsPerSegment = 1024 * 1024;  // of pg_xact, two bits each
constexpr std::size_t kSegmentBytes = kIdsPerSegment / 4;

// Sets the next transaction id of a server, which must be less than 2^31 ahead, and freezes all
// rows: none then has an id that would be in the future after the next such leap.
void leap_to(Cluster& cluster, std::uint32_t id, const std::vector<std::string>& more = {}) {
  cluster.stop();
  const auto segment = cluster.data_dir() / "pg_xact" / fmt::format("{:04X}", id / kIdsPerSegment);
  support::run_ok({"truncate", "-s", std::to_string(kSegmentBytes), segment.string()},
                  {.user = support::User::server()});
  std::vector<std::string> arguments = {"-D", cluster.data_dir().string(), "-x",
                                        std::to_string(id)};
  arguments.insert(arguments.end(), more.begin(), more.end());
  cluster.run_tool("pg_resetwal", arguments);
  cluster.start();
  for (const auto& row : cluster.query("SELECT datname FROM pg_database")) {
    cluster.execute("VACUUM FREEZE", *row[0]);
  }
}

}  // namespace

TEST_CASE("pipeline: transaction ids wrap, and so does the lower half of an LSN", "[pipeline]") {
  Pipeline p;
  Cluster& cluster = p.cluster();
  cluster.execute("UPDATE pg_database SET datallowconn = true");
  leap_to(cluster, 1'431'655'000);
  leap_to(cluster, 2'863'310'000);
  leap_to(cluster, 4'294'966'000, {"-l", "0000000100000001000000FE"});
  const auto next_id = [&] {
    return std::stoull(p.scalar("SELECT pg_snapshot_xmax(pg_current_snapshot())"));
  };
  const auto lsn = [&] {
    return daystream::Lsn::parse(p.scalar("SELECT pg_current_wal_lsn()")).value().value;
  };
  constexpr std::uint64_t kWrap = std::uint64_t{1} << 32;
  REQUIRE(next_id() < kWrap);
  REQUIRE(lsn() < 2 * kWrap);

  p.execute("CREATE TABLE fox (a int PRIMARY KEY, b int)");
  p.start_stream();
  p.seed({"fox"});
  p.start_mirror();
  // Begins before the wrap, commits long after it.
  auto long_one = cluster.session(Pipeline::kDatabase);
  long_one.execute("BEGIN; INSERT INTO fox VALUES (-1, 0)");
  const auto write = [&](int from) {
    p.execute(
        fmt::format("DO $$ BEGIN FOR i IN {}..{} LOOP INSERT INTO fox VALUES (i, 0); "
                    "UPDATE fox SET b = b + 1 WHERE a = i / 2; COMMIT; END LOOP; END $$",
                    from, from + 499));
  };
  int at = 0;
  for (; next_id() < kWrap + 500; at += 500) {
    write(at);
    p.expect_running();
    p.execute("SELECT pg_switch_wal()");
  }
  // Its snapshot does not see the long one, whose id is the greater of the two if 32 bits are all.
  p.seed({"fox"}, "later");
  p.stream().signal(SIGKILL);
  p.stream().wait();
  write(at);
  p.start_stream();
  long_one.execute("COMMIT");
  write(at + 500);
  CHECK(lsn() > 2 * kWrap);
  CHECK(next_id() > kWrap);

  p.wait_until_caught_up();
  support::run_ok({program("deltamirror"), "run", p.mirror("later").string(), "--daystream",
                   p.daystream().string(), "--once"});
  CHECK(difference(p, "fox", p.mirror()) == "");
  CHECK(difference(p, "fox", p.mirror("later")) == "");
  CHECK(check_daystream(p.daystream()).commits >= static_cast<std::size_t>(at + 1001));
  support::run_ok({program("daystream"), "verify", p.daystream().string()});
}
