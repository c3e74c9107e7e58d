// Any of deltastream, deltamirror, the walsender and the postmaster is killed at random, under a
// workload whose every transaction can be judged, with readers who check each snapshot they see.
#include <catch2/catch.hpp>
#include <csignal>

#include "common/invariant_reader.h"
#include "common/oracle.h"
#include "common/seed.h"
#include "common/stream_judge.h"
#include "common/streaming.h"
#include "common/workload.h"
#include "support/process.h"

using namespace fault;
using support::Cluster;
using support::FaultPreload;
using support::Process;
using Strings = std::vector<std::string>;

namespace {

// The processes under test, started again by whoever killed them.
class Parts {
 public:
  explicit Parts(Cluster& cluster)
      : cluster_(cluster), faults_({.path_prefix = dir_.path().string() + "/", .log_syncs = true}) {
    start_stream();
    wait_until_streaming(daystream(), *stream_);
  }

  std::filesystem::path daystream() const { return dir_ / "d"; }
  std::filesystem::path mirror() const { return dir_ / "mirror.db"; }
  const FaultPreload& faults() const { return faults_; }
  Process& stream() { return *stream_; }
  Process& run() { return *run_; }

  void start_stream() {
    stream_.emplace(Strings{support::program("deltastream"), "-d", cluster_.conninfo(), "-S",
                            "chaos", "-D", daystream(), "--create-slot", "--if-not-exists"},
                    Process::Options{.env = faults_.env()});
  }
  void seed() { support::run_ok(seed_command(cluster_, daystream(), mirror())); }
  // Another seed in the middle of everything, replayed to the end of what there is. What is wrong
  // with it; a seed that the chaos made impossible must say so and leave nothing.
  Strings side_seed() {
    const support::TempDir dir;
    const auto side = dir / "side.db";
    const support::Result seed = support::run(seed_command(cluster_, daystream(), side));
    if (!seed.ok()) {
      if (seed.exit == support::Exit{1, 0} && !std::filesystem::exists(side)) return {};
      return {"seed: " + seed.err};
    }
    ++seeds_;
    const support::Result replay = support::run(replay_command(daystream(), side));
    if (!replay.ok()) return {"replay after a seed: " + replay.err};
    return InvariantReader::look_once(side);
  }
  int seeds() const { return seeds_; }
  void start_mirror() {
    run_.emplace(
        Strings{support::program("deltamirror"), "run", mirror(), "--daystream", daystream()});
  }

  // One of the four dies. What it was, for the message of a failed check.
  std::string kill_one(Random& random) {
    switch (random.below(8)) {
      case 0:
      case 1:
      case 2:
        restart(stream_, "deltastream");
        start_stream();
        return "deltastream";
      case 3:
      case 4:
      case 5:
        restart(run_, "deltamirror");
        start_mirror();
        return "deltamirror";
      case 6: {
        const support::Rows rows =
            cluster_.query("SELECT active_pid FROM pg_replication_slots WHERE active");
        if (rows.empty()) return "nobody";
        // PostgreSQL starts all over after a SIGKILL of any backend: it has begun when a session
        // from before is gone, and is done when it takes new ones.
        support::Session witness = cluster_.session();
        kill(static_cast<pid_t>(std::stol(*rows[0][0])), SIGKILL);
        const bool noticed = support::eventually([&] { return !answers(witness); });
        const bool back = noticed && support::eventually([&] { return answers(); });
        if (!back) throw std::runtime_error("PostgreSQL did not come back");
        return "walsender";
      }
      default:
        cluster_.kill9();
        cluster_.start();
        return "postmaster";
    }
  }

  std::uint64_t confirmed() const {
    return support::parse_lsn(cluster_.scalar(
        "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'chaos'"));
  }

 private:
  void restart(std::optional<Process>& process, const std::string& name) {
    if (!process->running()) {
      throw std::runtime_error(name + " had ended by itself: " + process->err());
    }
    process->signal(SIGKILL);
    process->wait();
  }
  static bool answers(support::Session& session) {
    try {
      session.scalar("SELECT 1");
      return true;
    } catch (const daystream::Error&) {
      return false;
    }
  }
  bool answers() const {
    try {
      support::Session session = cluster_.session();
      return answers(session);
    } catch (const daystream::Error&) {
      return false;
    }
  }

  Cluster& cluster_;
  support::TempDir dir_;
  FaultPreload faults_;
  std::optional<Process> stream_;
  std::optional<Process> run_;
  int seeds_ = 0;
};

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

}  // namespace

TEST_CASE("pipeline: whatever is killed, all of it is there once and readers see only real states",
          "[fault][pipeline][kill]") {
  Cluster cluster;
  Workload workload(cluster);
  cluster.query("SELECT pg_create_logical_replication_slot('oracle', 'test_decoding')");
  Random random("chaos");
  Parts parts(cluster);
  // In the long form as fast as they go: a seed then finds transactions at work, whose seam it has
  // to get right.
  workload.start(4, run_seed(), long_form() ? 0 : 800);
  ConfirmedSampler sampler(cluster.conninfo(), "chaos", parts.faults());
  REQUIRE(support::eventually([&] { return workload.ok_count() > 50; }));
  parts.seed();  // in the middle of the load
  parts.start_mirror();
  InvariantReader reader(parts.mirror()), other_reader(parts.mirror());

  std::string killed;
  for (int i = 0, kills = rounds(20, 1000); i < kills; ++i) {
    // Sometimes in the middle of a recovery, sometimes long after it.
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(500'000)));
    killed += parts.kill_one(random) + " ";
    if (i % 5 == 4) CHECK(parts.side_seed() == Strings{});
  }
  INFO("killed, in this order: " << killed);
  const std::uint64_t ok_before = workload.ok_count();
  CHECK(support::eventually([&] { return workload.ok_count() > ok_before + 20; }));
  workload.stop();

  const std::string end = cluster.scalar("SELECT pg_current_wal_flush_lsn()");
  INFO(parts.stream().err() << parts.run().err());
  REQUIRE(support::eventually([&] { return parts.confirmed() >= support::parse_lsn(end); }));
  support::run_ok(
      {support::program("deltamirror"), "wait", parts.mirror(), "--lsn", end, "--timeout", "60"});
  const std::vector<ConfirmedSample> samples = sampler.stop();
  reader.stop();
  other_reader.stop();
  parts.run().signal(SIGTERM);
  CHECK(parts.run().wait() == support::Exit{0, 0});
  parts.stream().signal(SIGTERM);
  CHECK(parts.stream().wait() == support::Exit{0, 0});

  const support::StreamContent content = support::check_stream(parts.daystream());
  REQUIRE((content.violation ? content.violation->text() : "") == "");
  const StreamedLedger ledger = streamed_ledger(content);
  CHECK(ledger_complaint(ledger, workload.log()) == "");
  CHECK(unsafe_confirmation(samples, parts.faults().sync_log(), content) == "");
  CHECK(parts.seeds() > 0);
  CHECK(reader.snapshot_count() > 0);
  CHECK(reader.violations() == Strings{});
  CHECK(other_reader.violations() == Strings{});
  CHECK(misplaced_checkpoint(reader.seen(), ledger) == "");
  support::Session session = cluster.session();
  CHECK(support::compare_tables(session, parts.mirror(), Workload::tables()) == Strings{});
  CHECK(support::integrity_check(parts.mirror()) == "ok");
  CHECK(difference_from_test_decoding(session, "oracle", content,
                                      {"acct", "ledger", "seq", "misc", "bulk"}) == "");
}
