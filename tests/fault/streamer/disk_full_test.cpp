// A file system that fills and frees, again and again.
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>

#include "common/seed.h"
#include "support/cluster.h"
#include "support/small_disk.h"
#include "support/stream_checker.h"

using namespace fault;
using support::Cluster;
using support::SmallDisk;

namespace {

// Small transactions and one that is larger than the disk, then room: so many times.
void fill_and_free(const support::TempDir& dir, const SmallDisk& disk, int cycles) {
  Cluster cluster;
  cluster.execute("CREATE TABLE t (a int PRIMARY KEY, b text)");
  support::Process stream({support::program("deltastream"), "-d", cluster.conninfo(), "-S", "full",
                           "-D", dir / "disk/d", "--create-slot"});
  const auto active = [&] {
    return cluster.scalar("SELECT count(*) FROM pg_replication_slots WHERE active") == "1";
  };
  const auto confirmed = [&] {
    return support::parse_lsn(
        cluster.scalar("SELECT confirmed_flush_lsn FROM pg_replication_slots"));
  };
  REQUIRE(support::eventually(active));
  int rows = 0;
  for (int cycle = 0; cycle < cycles; ++cycle) {
    CAPTURE(cycle);
    INFO(stream.err());
    // Small transactions and one that alone is larger than what is left.
    for (int i = 0; i < 40; ++i) {
      cluster.execute(fmt::format("INSERT INTO t VALUES ({}, repeat('x', 20000))", rows++));
    }
    cluster.execute(
        fmt::format("INSERT INTO t SELECT i, repeat('y', 1000) FROM generate_series({}, {}) i",
                    rows, rows + 2999));
    rows += 3000;
    const std::uint64_t end =
        support::parse_lsn(cluster.scalar("SELECT pg_current_wal_flush_lsn()"));
    REQUIRE(support::eventually([&] { return !active(); }));
    CHECK(stream.running());
    CHECK(confirmed() < end);
    CHECK_THAT(stream.err(), Catch::Contains("No space left on device"));
    const support::StreamContent content = support::check_stream(dir / "disk/d", {.live = true});
    CHECK((content.violation ? content.violation->text() : "") == "");
    CHECK(confirmed() <= content.last_lsn());

    REQUIRE(disk.leave_free(16 << 20));
    REQUIRE(support::eventually([&] { return confirmed() >= end; }));
    REQUIRE(disk.leave_free(2 << 20));
  }
  stream.signal(SIGTERM);
  CHECK(stream.wait() == support::Exit{0, 0});
  const support::StreamContent content = support::check_stream(dir / "disk/d");
  REQUIRE((content.violation ? content.violation->text() : "") == "");
  int streamed = 0;
  for (const auto* commit : content.commits()) {
    for (const std::string& line : commit->lines) {
      if (support::stream_key(line, "_action") == "insert") {
        CHECK(support::stream_key(line, "_table") == "t");
        ++streamed;
      }
    }
  }
  CHECK(streamed == rows);
}

}  // namespace

TEST_CASE("deltastream: lets go when the disk is full, and goes on by itself when there is room",
          "[fault][deltastream][full]") {
  // The stream is looked through in each cycle, so that it may not become too long.
  constexpr int kAtOnce = 20;
  for (int left = rounds(2, 300); left > 0; left -= kAtOnce) {
    const support::TempDir dir;
    const SmallDisk disk(dir / "disk", "2m");
    if (!disk.mounted()) {
      WARN("skipped: a small file system of its own needs the right to mount (root)");
      return;
    }
    fill_and_free(dir, disk, std::min(left, kAtOnce));
  }
}
