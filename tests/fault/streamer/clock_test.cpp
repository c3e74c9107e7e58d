// deltastream with a clock that is not ours: midnight many times an hour, and a clock that walks.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <ctime>
#include <set>

#include "common/seed.h"
#include "common/stream_judge.h"
#include "common/streaming.h"
#include "common/wall_clock.h"
#include "common/workload.h"
#include "support/process.h"

using namespace fault;
using support::Cluster;
using support::Process;

namespace {

constexpr std::int64_t kDay = 86'400;

std::vector<std::string> deltastream(const Cluster& cluster, const std::string& directory,
                                     const std::vector<std::string>& more = {}) {
  std::vector<std::string> argv = {support::program("deltastream"),
                                   "-d",
                                   cluster.conninfo(),
                                   "-S",
                                   "clock",
                                   "-D",
                                   directory,
                                   "--create-slot",
                                   "--if-not-exists"};
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

std::uint64_t confirmed_flush(const Cluster& cluster) {
  return support::parse_lsn(cluster.scalar("SELECT confirmed_flush_lsn FROM pg_replication_slots"));
}

bool caught_up(const Cluster& cluster) {
  const std::uint64_t end = support::parse_lsn(cluster.scalar("SELECT pg_current_wal_lsn()"));
  return support::eventually([&] { return confirmed_flush(cluster) >= end; });
}

std::size_t count_files(const std::filesystem::path& directory, const std::string& suffix) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().filename().string().ends_with(suffix)) ++count;
  }
  return count;
}

void judge(const support::StreamContent& content, const Workload& workload) {
  REQUIRE((content.violation ? content.violation->text() : "") == "");
  CHECK(ledger_complaint(streamed_ledger(content), workload.log()) == "");
}

}  // namespace

TEST_CASE("deltastream: midnight many times, with days compressed and deleted behind it",
          "[fault][deltastream][clock]") {
  const Cluster cluster;
  Workload workload(cluster);
  const support::TempDir dir;
  const std::string directory = dir / "d";
  const int days = rounds(4, 300);
  // Far enough back never to be ahead of the server.
  std::int64_t day = std::time(nullptr) / kDay - days - 10;
  const WallClock clock(dir / "clock");
  clock.set(day * kDay);
  const Process::Options options{.env = clock.env()};
  std::optional<Process> stream(
      std::in_place, deltastream(cluster, directory, {"--compress", "1", "-s", "1"}), options);
  wait_until_streaming(directory, *stream);
  workload.start(3, run_seed(), 400);
  // Follows across every midnight, and meets days that become others under it.
  const std::string daystream = support::program("daystream");
  Process follower({daystream, "cat", directory, "--follow"});
  // Days are compressed with what nobody else wants of the processors: beside other work, which the
  // long form has, a day of some megabytes has taken more than a minute.
  const auto patience = std::chrono::minutes(long_form() ? 15 : 5);
  for (int i = 1; i <= days; ++i, ++day) {
    CAPTURE(i);
    INFO(stream->err());
    clock.set((day + 1) * kDay - 1);
    REQUIRE(support::eventually(patience, [&] {
      return count_files(directory, ".tsv.zst") >= static_cast<std::size_t>(i) ||
             !stream->running();
    }));
    REQUIRE(stream->running());
  }
  workload.stop();
  INFO(stream->err());
  REQUIRE(caught_up(cluster));
  stream->signal(SIGTERM);
  CHECK(stream->wait() == support::Exit{0, 0});

  const support::StreamContent content = support::check_stream(directory);
  judge(content, workload);
  // Each day begins with a mark that says what a copy of that day needs.
  std::set<std::string> begun;
  for (const auto& transaction : content.transactions) {
    if (!begun.insert(transaction.file).second) continue;
    CAPTURE(transaction.file);
    CHECK(transaction.kind == support::StreamTransaction::Kind::Mark);
    CHECK(transaction.next.has_value());
  }
  CHECK(begun.size() == static_cast<std::size_t>(days) + 1);
  const std::string all = support::run_ok({daystream, "cat", directory});
  REQUIRE(support::eventually([&] { return follower.out().size() >= all.size(); }));
  CHECK((follower.out() == all));
  support::run_ok({daystream, "verify", directory});
  support::run_ok({"/bin/sh", "-c",
                   "for day in \"$0\"/*.zst; do zstd -q -t \"$day\" || exit 1; done", directory});

  // Goes on on a later day, and keeps two before it.
  clock.set((day + 3) * kDay);
  stream.emplace(deltastream(cluster, directory, {"--keep-days", "2", "-s", "1"}), options);
  INFO(stream->err());
  CHECK(support::eventually([&] { return count_files(directory, ".zst") == 0; }));
  stream->signal(SIGTERM);
  CHECK(stream->wait() == support::Exit{0, 0});
  const support::StreamContent kept = support::check_stream(directory);
  CHECK((kept.violation ? kept.violation->text() : "") == "");
  const support::Result gone = support::run(
      {daystream, "cat", directory, "--after", fmt::format("{}/0", content.transactions[0].c)});
  CHECK(gone.exit == support::Exit{3, 0});
}

TEST_CASE("deltastream: a clock that walks at random loses nothing and stops nothing",
          "[fault][deltastream][clock]") {
  const Cluster cluster;
  Workload workload(cluster);
  const support::TempDir dir;
  const std::string directory = dir / "d";
  const WallClock clock(dir / "clock");
  Random random("clock");
  // Days back, and nearly as far ahead as is let pass.
  const auto step = [&] {
    clock.set_offset(static_cast<std::int64_t>(random.below(3 * kDay + 3'000)) - 3 * kDay);
  };
  step();
  const Process::Options options{.env = clock.env()};
  const auto argv = deltastream(cluster, directory, {"--compress", "-s", "1"});
  std::optional<Process> stream(std::in_place, argv, options);
  wait_until_streaming(directory, *stream);
  workload.start(3, run_seed(), 400);
  for (int i = 0, steps = rounds(60, 3000); i < steps; ++i) {
    CAPTURE(i);
    INFO(stream->err());
    step();
    if (random.one_in(10)) {
      const int number = random.one_in(2) ? SIGKILL : SIGTERM;
      stream->signal(number);
      stream->wait();
      stream.emplace(argv, options);
    }
    const std::uint64_t before = confirmed_flush(cluster);
    REQUIRE(support::eventually(
        [&] { return confirmed_flush(cluster) > before || !stream->running(); }));
    REQUIRE(stream->running());
  }
  workload.stop();
  INFO(stream->err());
  REQUIRE(caught_up(cluster));
  stream->signal(SIGTERM);
  CHECK(stream->wait() == support::Exit{0, 0});
  judge(support::check_stream(directory), workload);
}
