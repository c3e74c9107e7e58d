// deltamirror is killed at random while it copies a table again under load, with readers.
#include <catch2/catch.hpp>
#include <csignal>

#include "common/invariant_reader.h"
#include "common/seed.h"
#include "common/streaming.h"
#include "recorded_mirror.h"
#include "support/process.h"
#include "support/row_compare.h"
#include "support/sqlite_reader.h"
#include "support/temp_dir.h"

using namespace fault;
using Strings = std::vector<std::string>;

namespace {

// By then it listens; a killed one's socket is there all the time.
bool eventually_follows(support::Process& owner) {
  return support::eventually([&] {
    return owner.err().find("INFO deltamirror: following") != std::string::npos || !owner.running();
  });
}

}  // namespace

TEST_CASE("deltamirror: killed at random while it copies tables again, it shows no other state",
          "[fault][deltamirror][kill][live]") {
  Random random("kill live seed");
  support::Cluster cluster;
  Workload workload(cluster);
  const support::TempDir dir;
  const auto mirror = dir / "mirror.db";
  support::Process stream({support::program("deltastream"), "-d", cluster.conninfo(), "-S", "m",
                           "-D", dir / "stream", "--create-slot"});
  wait_until_streaming(dir / "stream", stream);
  // So large that a copy takes a while.
  cluster.execute(
      "INSERT INTO misc SELECT 1000000 + i, i, repeat('n', 200), i % 2 = 0 "
      "FROM generate_series(1, 20000) i");
  support::run_ok(seed_command(cluster, dir / "stream", mirror));
  workload.start(3, run_seed(), 300);
  InvariantReader reader(mirror);

  const Strings run = {support::program("deltamirror"),
                       "run",
                       mirror,
                       "--daystream",
                       dir / "stream",
                       "-d",
                       cluster.conninfo()};
  const Strings tables = {"acct", "ledger", "seq", "misc", "bulk"};
  int killed = 0;
  int copied = 0;
  const int count = rounds(8, 300);
  for (int i = 0; i < count; ++i) {
    CAPTURE(i, killed, copied);
    support::Process owner(run);
    const bool listens = eventually_follows(owner);
    INFO(owner.err());
    REQUIRE(listens);
    Strings reseed = {
        support::program("deltamirror"), "reseed", mirror, "--table", "misc", "--table",
        tables[random.below(3)]};
    if (random.one_in(2)) reseed.push_back("--whole");
    support::Process asks(reseed);
    const auto end = asks.wait(std::chrono::milliseconds(random.below(700)));
    if (end) {
      copied += *end == support::Exit{0, 0} ? 1 : 0;
    } else {
      ++killed;
    }
    owner.signal(SIGKILL);
    owner.wait();
    INFO(asks.wait().code << asks.err());
    REQUIRE(RecordedMirror::state_complaints(mirror) == Strings{});
  }
  {
    support::Process owner(run);
    REQUIRE(eventually_follows(owner));
    const support::Result last = support::run(
        {support::program("deltamirror"), "reseed", mirror, "--table", "misc", "--table", "bulk"});
    INFO(last.err);
    REQUIRE(last.ok());
    workload.stop();
    const std::string lsn = cluster.scalar("SELECT pg_current_wal_flush_lsn()");
    support::run_ok(
        {support::program("deltamirror"), "wait", mirror, "--lsn", lsn, "--timeout", "60"});
    owner.signal(SIGTERM);
    REQUIRE(owner.wait() == support::Exit{0, 0});
  }
  reader.stop();
  CHECK(reader.violations() == Strings{});
  CHECK(killed + copied > 0);
  support::Session session = cluster.session();
  CHECK(support::compare_tables(session, mirror, Workload::tables()) == Strings{});
  CHECK(support::integrity_check(mirror) == "ok");
  CHECK(support::SqliteReader(mirror).scalar(
            "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%shadow%'") == "0");
}
