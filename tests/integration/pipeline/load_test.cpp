// A busy database, copied while it is busy.
#include <catch2/catch.hpp>
#include <csignal>

#include "pipeline.h"

using namespace pipeline;
using support::eventually;
using support::program;

TEST_CASE("pipeline: pgbench seeded in the middle of the load and followed is equal row for row",
          "[pipeline]") {
  Pipeline p;
  create_pgbench_tables(p);
  p.start_stream();
  Process load = start_pgbench(p);
  const auto history = [&] { return std::stoll(p.scalar("SELECT count(*) FROM pgbench_history")); };
  REQUIRE(eventually([&] { return history() > 1000; }));

  p.seed(kPgbenchTables);
  p.start_mirror();
  const long long at_seed = history();
  REQUIRE(eventually([&] { return history() > at_seed + 3000; }));
  load.signal(SIGINT);
  load.wait();
  p.wait_until_caught_up();

  for (const std::string& table : kPgbenchTables) CHECK(difference(p, table, p.mirror()) == "");
  const DaystreamCounts counts = check_daystream(p.daystream());
  CHECK(counts.commits >= 3000);
  support::run_ok({program("daystream"), "verify", p.daystream().string()});

  // Asked to end, both end well, with everything they had received kept.
  p.mirror_process().signal(SIGTERM);
  CHECK(p.mirror_process().wait() == support::Exit{0, 0});
  p.stream().signal(SIGTERM);
  CHECK(p.stream().wait() == support::Exit{0, 0});
}

TEST_CASE("pipeline: a mirror that was away catches up and costs the primary nothing meanwhile",
          "[pipeline]") {
  Pipeline p;
  create_pgbench_tables(p);
  p.start_stream();
  p.seed(kPgbenchTables);
  Process load = start_pgbench(p);
  const auto history = [&] { return std::stoll(p.scalar("SELECT count(*) FROM pgbench_history")); };
  REQUIRE(eventually([&] { return history() > 2000; }));
  load.signal(SIGINT);
  load.wait();
  // The slot has moved on although no mirror follows.
  const std::string lsn = p.scalar("SELECT pg_current_wal_lsn()");
  CHECK(eventually([&] {
    return p.scalar("SELECT confirmed_flush_lsn >= '" + lsn +
                    "' FROM pg_replication_slots WHERE slot_name = 'app'") == "t";
  }));
  // --once: to the end of what is there.
  support::run_ok({program("deltamirror"), "run", p.mirror().string(), "--daystream",
                   p.daystream().string(), "--once"});
  for (const std::string& table : kPgbenchTables) CHECK(difference(p, table, p.mirror()) == "");
}
