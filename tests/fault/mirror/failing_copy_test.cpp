// The disk fails a mirror while it copies tables beside following: what was taken back is made
// again, and nothing is said to be there before it is.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <optional>

#include "common/seed.h"
#include "common/streaming.h"
#include "support/cluster.h"
#include "support/fault_preload.h"
#include "support/process.h"
#include "support/slot.h"
#include "support/sqlite_reader.h"
#include "support/temp_dir.h"
#include "support/wait.h"

using namespace fault;
using support::FaultPreload;
using Strings = std::vector<std::string>;

namespace {

struct Copied {
  explicit Copied(const std::string& schema)
      : faults({.calls = {"pwrite", "write"},
                .path_prefix = (dir / "m" / "mirror.db-wal").string(),
                .error = ENOSPC,
                .open_for_write_only = false}) {
    cluster.execute(schema);
    stream.emplace(stream_argv({"--create-slot"}));
    wait_until_streaming(dir / "stream", *stream);
    std::filesystem::create_directory(dir / "m");
    support::run_ok({support::program("deltamirror"), "seed", mirror(), "-d", cluster.conninfo(),
                     "--daystream", dir / "stream", "--table", "t"});
    owner.emplace(Strings{support::program("deltamirror"), "run", mirror(), "--daystream",
                          dir / "stream", "-d", cluster.conninfo()},
                  support::Process::Options{.env = faults.env()});
    check_level("begin");
  }
  ~Copied() { faults.heal(); }
  std::string mirror() const { return dir / "m" / "mirror.db"; }
  Strings stream_argv(const Strings& more) const {
    Strings argv = {
        support::program("deltastream"), "-d", cluster.conninfo(), "-S", "m", "-D", dir / "stream"};
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  }
  std::string mirrored(const std::string& sql) const {
    return support::SqliteReader(mirror()).scalar(sql);
  }
  // It holds what PostgreSQL does once `v` was written there, and goes on following.
  void check_level(const std::string& v) {
    cluster.execute("INSERT INTO t VALUES ((SELECT coalesce(max(id), 0) + 1 FROM t), '" + v + "')");
    const std::string sql = "SELECT count(*) || ' ' || max(v) || ' ' || sum(id) FROM t";
    const std::string there = cluster.scalar(sql);
    const bool level = support::eventually([&] {
      if (!owner->running()) return true;
      return mirrored("SELECT count(*) FROM t WHERE v = '" + v + "'") != "0" &&
             mirrored(sql) == there;
    });
    INFO(owner->err());
    REQUIRE(level);
    REQUIRE(owner->running());
  }
  // Changes of `sql` are in no stream.
  void lose(const std::string& sql) {
    stream->signal(SIGTERM);
    stream->wait();
    support::drop_slot(cluster, "m");
    cluster.execute(sql);
    support::run_ok(stream_argv({"--recreate-slot"}));
    stream.emplace(stream_argv({}));
  }

  support::Cluster cluster;
  const support::TempDir dir;
  FaultPreload faults;
  std::optional<support::Process> stream;
  std::optional<support::Process> owner;
};

// Which of `count` writes are to fail: all, or some, the last ones among them, which bring the copy
// into place.
std::vector<std::uint64_t> chosen(std::uint64_t count, Random& random) {
  std::vector<std::uint64_t> all;
  for (std::uint64_t n = 1; n <= count; ++n) all.push_back(n);
  const auto most = static_cast<std::uint64_t>(rounds(5, 100000));
  while (all.size() > most) {
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(random.below(all.size() - 2)));
  }
  return all;
}

}  // namespace

TEST_CASE("copies: whichever write of one fails, it is in place when that is said",
          "[fault][deltamirror][copies]") {
  Copied m("CREATE TABLE t(id int PRIMARY KEY, v text)");
  Random random("failing copy");
  const auto reseed = [&] {
    return support::run(
        {support::program("deltamirror"), "reseed", m.mirror(), "--table", "t", "--whole"});
  };
  const auto seeded = [&] {
    return m.mirrored("SELECT seeded_at FROM _deltamirror_tables WHERE name = 't'");
  };
  const std::uint64_t before = m.faults.matched();
  REQUIRE(reseed().ok());
  const std::uint64_t count = m.faults.matched() - before;
  REQUIRE(count > 4);
  for (const std::uint64_t n : chosen(count, random)) {
    CAPTURE(n, count);
    const std::string last = seeded();
    m.faults.arm({.in = n, .error = ENOSPC});
    const support::Result done = reseed();
    m.faults.heal();
    INFO(done.err);
    if (done.ok()) {
      CHECK(seeded() != last);
    } else {
      CHECK_THAT(done.err, Catch::Contains("database or disk is full"));
    }
    m.check_level("after " + std::to_string(n));
  }
  m.owner->signal(SIGTERM);
  CHECK(m.owner->wait() == support::Exit{0, 0});
}

TEST_CASE("copies: whichever write fails while a gap heals, it heals",
          "[fault][deltamirror][copies]") {
  const bool compares = GENERATE(true, false);
  // Without a key rows cannot be compared where they are.
  Copied m(compares ? "CREATE TABLE t(id int PRIMARY KEY, v text)"
                    : "CREATE TABLE t(id int, v text); ALTER TABLE t REPLICA IDENTITY FULL");
  Random random("failing heal");
  const auto lose = [&] { m.lose("UPDATE t SET v = v || '!'"); };
  const std::uint64_t before = m.faults.matched();
  lose();
  m.check_level("first");
  const std::uint64_t count = m.faults.matched() - before;
  REQUIRE(count > 4);
  for (const std::uint64_t n : chosen(count, random)) {
    CAPTURE(compares, n, count);
    m.faults.arm({.in = n, .error = ENOSPC});
    lose();
    m.check_level("after " + std::to_string(n));
    m.faults.heal();
  }
  m.owner->signal(SIGTERM);
  CHECK(m.owner->wait() == support::Exit{0, 0});
}
