// SIGKILL at random, under load: of deltastream, and of what it talks to.
#include <catch2/catch.hpp>
#include <csignal>

#include "common/power_loss.h"
#include "common/seed.h"
#include "common/stream_judge.h"
#include "common/streaming.h"
#include "common/workload.h"
#include "support/process.h"
#include "support/stream_follower.h"

using namespace fault;
using support::Cluster;
using support::FaultPreload;
using support::Process;

namespace {

std::uint64_t confirmed_by_killed(const Cluster& cluster) {
  return support::parse_lsn(cluster.scalar(
      "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'kill'"));
}

}  // namespace

TEST_CASE("deltastream: killed at random under load, nothing is lost, repeated or confirmed early",
          "[fault][deltastream][kill]") {
  const Cluster cluster;
  Workload workload(cluster);
  const support::TempDir dir;
  FaultPreload faults({.path_prefix = dir.path().string() + "/", .log_syncs = true});
  const std::vector<std::string> argv = {support::program("deltastream"),
                                         "-d",
                                         cluster.conninfo(),
                                         "-S",
                                         "kill",
                                         "-D",
                                         dir / "d",
                                         "--create-slot",
                                         "--if-not-exists"};
  Random random("kill deltastream");
  std::optional<Process> stream(std::in_place, argv, Process::Options{.env = faults.env()});
  wait_until_streaming(dir / "d", *stream);
  // The long form takes half an hour: with less of a load its stream fits in memory at the end.
  workload.start(3, run_seed(), long_form() ? 100 : 400);
  ConfirmedSampler sampler(cluster.conninfo(), "kill", faults);

  // The long form runs beside other work, at a low priority: there a start has taken over a minute.
  const auto patience = long_form() ? std::chrono::minutes(15) : std::chrono::minutes(1);
  support::StreamFollower judge(dir / "d");
  const int kills = rounds(30, 1000);
  for (int i = 0; i < kills; ++i) {
    CAPTURE(i);
    // Sometimes at once, sometimes when a good deal has been written; counted in confirmations, as
    // a machine may be slow.
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(400'000)));
    INFO(stream->err());
    REQUIRE(stream->running());
    stream->signal(SIGKILL);
    stream->wait();
    // Sometimes the power goes with it.
    if (std::filesystem::exists(dir / "d") && random.one_in(3)) {
      PowerLoss(dir / "d", faults.sync_log()).strike(random);
    }
    if (i % 10 == 9) {
      // Followed by a time in which it must get somewhere.
      const std::uint64_t before = confirmed_by_killed(cluster);
      stream.emplace(argv, Process::Options{.env = faults.env()});
      INFO(stream->err());
      REQUIRE(support::eventually(patience, [&] { return confirmed_by_killed(cluster) > before; }));
      const auto violation = judge.advance(PowerLoss(dir / "d", faults.sync_log()).synced_sizes());
      REQUIRE((violation ? violation->text() : "") == "");
    } else {
      stream.emplace(argv, Process::Options{.env = faults.env()});
    }
  }
  workload.stop();
  const std::uint64_t end = support::parse_lsn(cluster.scalar("SELECT pg_current_wal_lsn()"));
  INFO(stream->err());
  REQUIRE(support::eventually(patience, [&] { return confirmed_by_killed(cluster) >= end; }));
  const std::vector<ConfirmedSample> samples = sampler.stop();
  stream->signal(SIGTERM);
  CHECK(stream->wait() == support::Exit{0, 0});

  // Once more from the beginning: nothing may have changed behind the judge's back.
  const support::StreamContent content = support::check_stream(dir / "d", {.keep = is_ledger_line});
  REQUIRE((content.violation ? content.violation->text() : "") == "");
  CHECK(ledger_complaint(streamed_ledger(content), workload.log()) == "");
  CHECK(samples.size() > 10);
  CHECK(unsafe_confirmation(samples, faults.sync_log(), content) == "");
  CHECK(workload.ok_count() > static_cast<std::uint64_t>(kills));  // else nothing was tried
}
