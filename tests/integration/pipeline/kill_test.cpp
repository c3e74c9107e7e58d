// Whatever is killed when, the copy is right in the end.
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <random>

#include "pipeline.h"

using namespace pipeline;
using support::eventually;
using support::program;

namespace {

unsigned seed_of_this_run() {
  const char* given = std::getenv("PIPELINE_SEED");
  return given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10))
                          : std::random_device{}();
}

unsigned kills_of_this_run() {
  const char* given = std::getenv("PIPELINE_KILLS");
  return given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : 16;
}

}  // namespace

TEST_CASE("pipeline: killed at random, everything is there once and the copies are equal",
          "[pipeline][kill]") {
  const unsigned seed = seed_of_this_run();
  const unsigned kills = kills_of_this_run();
  std::cout << "PIPELINE_SEED=" << seed << " PIPELINE_KILLS=" << kills << std::endl;
  CAPTURE(seed, kills);
  std::mt19937 random(seed);

  Pipeline p;
  create_pgbench_tables(p);
  p.start_stream();
  Process load = start_pgbench(p);
  p.seed(kPgbenchTables);
  p.start_mirror();

  const auto commits = [&] {
    return std::stoll(p.scalar("SELECT last_value FROM pgbench_history_id_seq"));
  };
  for (unsigned kill = 0; kill < kills; ++kill) {
    // Let a random amount of work happen, so that the kill finds something to break.
    const long long target = commits() + std::uniform_int_distribution<int>(20, 1500)(random);
    REQUIRE(eventually([&] { return commits() >= target || !load.running(); }));
    CAPTURE(kill);
    // Each in turn, so that a short run has them all; the moment is what is random.
    switch (kill % 4) {
      case 0:
        p.stream().signal(SIGKILL);
        p.stream().wait();
        p.start_stream();
        break;
      case 1:
        p.mirror_process().signal(SIGKILL);
        p.mirror_process().wait();
        p.start_mirror();
        break;
      case 2: {
        Rows walsender;
        REQUIRE(eventually([&] {
          walsender = p.cluster().query(
              "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'app' AND active");
          return !walsender.empty();
        }));
        // A backend's SIGKILL makes the postmaster restart all of them.
        REQUIRE(::kill(std::stoi(*walsender[0][0]), SIGKILL) == 0);
        break;
      }
      default:
        p.cluster().kill9();
        p.cluster().start();
        break;
    }
    if (kill % 4 >= 2) {
      // The server went down. pgbench ends with its connections, so the old server is gone by then.
      load.wait();
      REQUIRE(eventually([&] {
        try {
          return commits() > 0;
        } catch (const daystream::Error&) {
          return false;  // it is recovering
        }
      }));
      load = start_pgbench(p);
    }
    p.expect_running();
  }
  load.signal(SIGINT);
  load.wait();
  p.wait_until_caught_up();

  for (const std::string& table : kPgbenchTables) CHECK(difference(p, table, p.mirror()) == "");
  const DaystreamCounts counts = check_daystream(p.daystream());
  CHECK(counts.commits > 100);
  support::run_ok({program("daystream"), "verify", p.daystream().string()});
}
