// Whatever may happen to a whole small world, under a workload whose every transaction can be
// judged, with readers who check each snapshot they see. Nothing here shares code with what it
// judges.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>

#include "common/invariant_reader.h"
#include "common/oracle.h"
#include "common/stream_judge.h"
#include "common/workload.h"
#include "world/consumed.h"
#include "world/world.h"

using namespace fault;
using support::Cluster;

namespace {

// Every snapshot a reader saw was PostgreSQL's state after transaction n: its checkpoint is at or
// behind n's commit, and before the next one's.
std::string misplaced_checkpoint(const std::vector<InvariantReader::Seen>& seen,
                                 const StreamedLedger& ledger) {
  std::map<std::int64_t, std::uint64_t> lsn_by_n;
  for (const auto& [lsn, n] : ledger.n_by_lsn) lsn_by_n[n] = lsn;
  for (const auto& [n, lsn] : seen) {
    const auto own = lsn_by_n.find(n);
    const auto next = lsn_by_n.find(n + 1);
    const bool early = own != lsn_by_n.end() && lsn < own->second;
    const bool late = next != lsn_by_n.end() && lsn >= next->second;
    if (early || late) {
      return "a mirror at n = " + std::to_string(n) + " says it is at " + support::lsn_text(lsn);
    }
  }
  return "";
}

// A line for the report of a long run (tests/fault/report.py), where one is wanted.
void report(const World::Counts& counts, std::size_t commits, std::uint64_t snapshots) {
  const char* const file = std::getenv("DELTAFLOOD_FAULT_REPORT");
  if (file == nullptr) return;
  std::ofstream(file, std::ios::app)
      << "seed=" << run_seed() << " kills=" << counts.kills << " stops=" << counts.stops
      << " cuts=" << counts.cuts << " power_losses=" << counts.power_losses
      << " faults=" << counts.struck << " ended=" << counts.ended << " commits=" << commits
      << " snapshots=" << snapshots << " side_seeds=" << counts.side_seeds
      << " clock_steps=" << counts.clock_steps << " shortages=" << counts.shortages << "\n";
}

}  // namespace

TEST_CASE("world: whatever happens, all of it is there once and readers see only real states",
          "[fault][world]") {
  Cluster cluster({.config = {"wal_sender_timeout = 10s"}});
  Workload workload(cluster);
  cluster.query("SELECT pg_create_logical_replication_slot('oracle', 'test_decoding')");
  Random random("world");
  World world(cluster);
  world.start_stream();
  // In the long form as fast as they go: a seed then finds transactions at work, whose seam it has
  // to get right.
  workload.start(4, run_seed(), long_form() ? 0 : 800);
  ConfirmedSampler sampler(cluster.conninfo(), "world", world.stream().faults());
  ConfirmedSampler copy_sampler(cluster.conninfo(), "world", world.relay().faults());
  REQUIRE(support::eventually([&] { return workload.ok_count() > 50; }));
  world.start_readers();  // in the middle of the load
  InvariantReader near(world.mirrors()[0]), far(world.mirrors()[1]);
  world.set_far_reader(&far);

  std::string happened;
  Strings wrong;
  for (int i = 0, count = rounds(25, 200); i < count && wrong.empty(); ++i) {
    // Sometimes in the middle of a recovery, sometimes long after it.
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(400'000)));
    happened += world.disturb(random) + "\n";
    wrong = world.tend();
    if (wrong.empty() && i % 8 == 7) wrong = world.side_seed();
  }
  INFO("what happened:\n" << happened);
  workload.stop();
  const std::string end = cluster.scalar("SELECT pg_current_wal_flush_lsn()");
  for (std::string& what : world.settle(end, std::chrono::seconds(120))) {
    wrong.push_back(std::move(what));
  }
  INFO(world.words());
  REQUIRE(wrong == Strings{});
  const std::vector<ConfirmedSample> samples = sampler.stop();
  const std::vector<ConfirmedSample> copy_samples = copy_sampler.stop();
  near.stop();
  far.stop();

  const support::StreamContent content = support::check_stream(world.daystream());
  REQUIRE((content.violation ? content.violation->text() : "") == "");
  const support::StreamContent copy = support::check_stream(world.copy());
  REQUIRE((copy.violation ? copy.violation->text() : "") == "");
  const StreamedLedger ledger = streamed_ledger(content);
  CHECK(ledger_complaint(ledger, workload.log()) == "");
  CHECK(unsafe_confirmation(samples, world.stream().faults().sync_log(), content) == "");
  CHECK(unsafe_confirmation(copy_samples, world.relay().faults().sync_log(), copy) == "");
  CHECK(consumer_complaint(world.consumed(), copy) == "");
  support::Session session = cluster.session();
  for (const auto& mirror : world.mirrors()) {
    CAPTURE(mirror);
    CHECK(support::compare_tables(session, mirror, Workload::tables()) == Strings{});
    CHECK(support::integrity_check(mirror) == "ok");
  }
  for (const InvariantReader* reader : {&near, &far}) {
    CHECK(reader->violations() == Strings{});
    CHECK(misplaced_checkpoint(reader->seen(), ledger) == "");
  }
  CHECK(difference_from_test_decoding(session, "oracle", content,
                                      {"acct", "ledger", "seq", "misc", "bulk"}) == "");
  // Below this nothing was tried, and the world proves nothing.
  const std::uint64_t snapshots = near.snapshot_count() + far.snapshot_count();
  CHECK(content.commits().size() > 300);
  CHECK(snapshots > 100);
  report(world.counts(), content.commits().size(), snapshots);
}
