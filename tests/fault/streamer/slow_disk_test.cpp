// A disk that takes longer to sync than the server waits for a sign of life.
#include <sys/syscall.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "common/streaming.h"
#include "support/cluster.h"
#include "support/fault_preload.h"
#include "support/stream_checker.h"

using namespace fault;
using support::Cluster;
using support::FaultPreload;

namespace {

std::vector<std::string> deltastream_on_slow_disk(const Cluster& cluster,
                                                  const std::string& directory,
                                                  const std::vector<std::string>& more = {}) {
  std::vector<std::string> argv = {support::program("deltastream"),
                                   "-d",
                                   cluster.conninfo(),
                                   "-S",
                                   "slow",
                                   "-D",
                                   directory,
                                   "--create-slot",
                                   "--if-not-exists"};
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

// 0: nobody has the slot.
std::string walsender(const Cluster& cluster) {
  return cluster.scalar("SELECT coalesce(active_pid, 0) FROM pg_replication_slots");
}

// Whether a thread of it is.
bool is_in_fdatasync(pid_t pid) {
  const std::filesystem::path tasks = "/proc/" + std::to_string(pid) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    std::ifstream now(task.path() / "syscall");
    std::string number;
    if (now >> number && number == std::to_string(SYS_fdatasync)) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("deltastream: while a sync takes longer than wal_sender_timeout, keepalives are answered",
          "[fault][deltastream][slow]") {
  const Cluster cluster({.config = {"wal_sender_timeout = 1s"}});
  cluster.execute("CREATE TABLE t (a int PRIMARY KEY)");
  const support::TempDir dir;
  const FaultPreload faults(
      {.path_prefix = (dir / "d").string() + "/", .sync_delay = std::chrono::milliseconds{1300}});
  const std::vector<std::string> argv = deltastream_on_slow_disk(cluster, dir / "d");
  // Made while the disk was still well: making it takes several syncs, one after the other.
  support::Process made(argv);
  wait_until_streaming(dir / "d", made);
  made.signal(SIGTERM);
  CHECK(made.wait() == support::Exit{0, 0});
  support::Process stream(argv, {.env = faults.env()});
  REQUIRE(support::eventually([&] { return walsender(cluster) != "0"; }));
  const std::string first = walsender(cluster);
  // Several syncs, each confirmed, all on the one connection.
  for (int i = 0; i < 3; ++i) {
    cluster.execute("INSERT INTO t VALUES (" + std::to_string(i) + ")");
    const std::uint64_t end =
        support::parse_lsn(cluster.scalar("SELECT pg_current_wal_flush_lsn()"));
    INFO(stream.err());
    REQUIRE(support::eventually([&] {
      return support::parse_lsn(
                 cluster.scalar("SELECT confirmed_flush_lsn FROM pg_replication_slots")) >= end;
    }));
    CHECK(walsender(cluster) == first);
  }
  const std::string log = cluster.log_tail(100'000);
  INFO(log);
  CHECK(log.find("due to replication timeout") == std::string::npos);
}

TEST_CASE("deltastream: while its status takes longer to write, keepalives are answered",
          "[fault][deltastream][slow]") {
  const Cluster cluster({.config = {"wal_sender_timeout = 1s"}});
  const support::TempDir dir;
  support::Process stream(deltastream_on_slow_disk(cluster, dir / "d", {"-s", "1"}));
  wait_until_streaming(dir / "d", stream);
  support::Process strace({"strace", "-f", "-p", std::to_string(stream.pid()), "-e", "trace=rename",
                           "-e", "inject=rename:delay_enter=2500000"});
  REQUIRE(support::eventually([&] { return strace.err().find("attached") != std::string::npos; }));
  const std::string first = walsender(cluster);
  const auto delayed = [&] {
    const std::string log = strace.err();
    std::size_t count = 0;
    for (std::size_t at = 0; (at = log.find("(DELAYED)", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  CHECK(support::eventually([&] { return delayed() >= 2; }));
  CHECK(walsender(cluster) == first);
  const std::string log = cluster.log_tail(100'000);
  INFO(log);
  CHECK(log.find("due to replication timeout") == std::string::npos);
}

TEST_CASE("deltastream: a disk that hangs does not hang who stops it, and nothing is lost",
          "[fault][deltastream][slow]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE t (a int PRIMARY KEY)");
  const support::TempDir dir;
  const std::vector<std::string> argv = deltastream_on_slow_disk(cluster, dir / "d");
  support::Process hangs(argv);
  wait_until_streaming(dir / "d", hangs);
  // From now on a sync takes longer than this test waits.
  std::optional<support::Process> strace(
      std::in_place,
      std::vector<std::string>{"strace", "-f", "-p", std::to_string(hangs.pid()), "-e",
                               "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=3600000000"});
  REQUIRE(support::eventually([&] { return strace->err().find("attached") != std::string::npos; }));
  cluster.execute("INSERT INTO t VALUES (1)");
  // Of the row, or of a mark that came before it: then the row is not even in the file.
  REQUIRE(support::eventually([&] { return is_in_fdatasync(hangs.pid()); }));
  hangs.signal(SIGTERM);
  CHECK(support::eventually(
      [&] { return hangs.err().find("ending without it") != std::string::npos; }));
  strace.reset();  // which holds even who ends
  CHECK(hangs.wait() == support::Exit{1, 0});
  support::run_ok({support::program("deltastream"), "-d", cluster.conninfo(), "-S", "slow", "-D",
                   dir / "d", "-E", cluster.scalar("SELECT pg_current_wal_flush_lsn()")});
  const support::StreamContent content = support::check_stream(dir / "d");
  CHECK((content.violation ? content.violation->text() : "") == "");
  CHECK(content.commits().size() == 1);
}

TEST_CASE("deltastream: with a disk slower than wal_sender_timeout it still gets on",
          "[fault][deltastream][slow]") {
  const Cluster cluster({.config = {"wal_sender_timeout = 1s"}});
  cluster.execute("CREATE TABLE t (a int PRIMARY KEY)");
  const support::TempDir dir;
  const FaultPreload faults(
      {.path_prefix = (dir / "d").string() + "/", .sync_delay = std::chrono::milliseconds{2500}});
  const std::vector<std::string> argv = deltastream_on_slow_disk(cluster, dir / "d");
  // Made while the disk was still well: what is slow is a stream that goes on.
  support::Process stream(argv);
  wait_until_streaming(dir / "d", stream);
  stream.signal(SIGTERM);
  CHECK(stream.wait() == support::Exit{0, 0});

  cluster.execute("INSERT INTO t SELECT generate_series(1, 100)");
  const std::uint64_t end = support::parse_lsn(cluster.scalar("SELECT pg_current_wal_flush_lsn()"));
  support::Process slow(argv, {.env = faults.env()});
  const bool confirmed = support::eventually([&] {
    return support::parse_lsn(
               cluster.scalar("SELECT confirmed_flush_lsn FROM pg_replication_slots")) >= end;
  });
  INFO(slow.err());
  CHECK(confirmed);
}
