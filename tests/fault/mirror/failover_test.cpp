// A primary dies, a standby without its slot takes its place: mirrors and their readers.
#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <optional>
#include <thread>

#include "common/streaming.h"
#include "support/cluster.h"
#include "support/process.h"
#include "support/sqlite_reader.h"
#include "support/temp_dir.h"
#include "support/wait.h"

using namespace fault;

namespace {

// Looks at a mirror all the time: every commit of PostgreSQL leaves both tables with one total.
class Onlooker {
 public:
  explicit Onlooker(std::filesystem::path mirror)
      : mirror_(std::move(mirror)), thread_([this] { look(); }) {}
  ~Onlooker() { stop(); }

  std::string stop() {
    stopped_ = true;
    if (thread_.joinable()) thread_.join();
    return complaint_;
  }
  int looks() const { return looks_; }

 private:
  void look() {
    try {
      support::SqliteReader reader(mirror_);
      while (!stopped_ && complaint_.empty()) {
        const std::string difference = reader.scalar(
            "SELECT ((SELECT sum(n) FROM part) - (SELECT n FROM total)) || ' of ' || "
            "(SELECT count(*) FROM part)");
        if (difference != "0 of 1000") complaint_ = "the totals differ by " + difference;
        ++looks_;
      }
    } catch (const std::exception& e) {
      complaint_ = e.what();
    }
  }

  const std::filesystem::path mirror_;
  std::string complaint_;
  std::atomic<bool> stopped_ = false;
  std::atomic<int> looks_ = 0;
  std::thread thread_;
};

// Whichever of the two takes writes.
std::string conninfo_of(const support::Cluster& one, const support::Cluster& other) {
  return "host=" + one.socket_dir() + "," + other.socket_dir() +
         " user=postgres dbname=postgres target_session_attrs=read-write";
}

support::Process streaming(const std::string& conninfo, const std::filesystem::path& stream) {
  return support::Process({support::program("deltastream"), "-d", conninfo, "-S", "m", "-D", stream,
                           "--create-slot", "--if-not-exists", "--on-lost-slot", "replace"});
}

void wait_for(const std::string& mirror, const support::Cluster& server) {
  support::run_ok({support::program("deltamirror"), "wait", mirror, "--lsn",
                   server.scalar("SELECT pg_current_wal_flush_lsn()"), "--timeout", "60"});
}

void require_replayed(const support::Cluster& standby, const support::Cluster& primary) {
  const std::string last = primary.scalar("SELECT pg_current_wal_flush_lsn()");
  REQUIRE(support::eventually(
      [&] { return standby.scalar("SELECT pg_last_wal_replay_lsn() >= '" + last + "'") == "t"; }));
}

void require_read(const support::Cluster& server, const support::Process& stream) {
  INFO(stream.err());
  REQUIRE(support::eventually([&] {
    return server.scalar("SELECT count(*) FROM pg_replication_slots WHERE active") == "1";
  }));
}

void check_stops(support::Process& process) {
  process.signal(SIGTERM);
  CHECK(process.wait() == support::Exit{0, 0});
}

constexpr const char* kTransfer =
    "BEGIN; UPDATE part SET n = n + 1 WHERE id % 100 = 0; UPDATE total SET n = n + 10; COMMIT";

}  // namespace

TEST_CASE("deltamirror: a standby without the slot takes over, and nobody who reads sees it",
          "[fault][deltamirror][failover]") {
  support::Cluster primary;
  primary.execute(
      "CREATE TABLE part(id int PRIMARY KEY, n int); CREATE TABLE total(id int PRIMARY KEY, n int);"
      "INSERT INTO part SELECT g, 0 FROM generate_series(1, 1000) g; INSERT INTO total VALUES (1, "
      "0)");
  support::Cluster standby({.standby_of = &primary});
  const std::string conninfo = conninfo_of(primary, standby);
  const support::TempDir dir;
  support::Process stream = streaming(conninfo, dir / "stream");
  wait_until_streaming(dir / "stream", stream);

  std::vector<std::string> mirrors;
  std::vector<std::unique_ptr<support::Process>> owners;
  std::vector<std::unique_ptr<Onlooker>> onlookers;
  for (const char* name : {"one.db", "two.db", "three.db"}) {
    mirrors.push_back(dir / name);
    support::run_ok({support::program("deltamirror"), "seed", mirrors.back(), "-d", conninfo,
                     "--daystream", dir / "stream", "--table", "part", "--table", "total"});
    owners.push_back(std::make_unique<support::Process>(
        std::vector<std::string>{support::program("deltamirror"), "run", mirrors.back(), "-d",
                                 conninfo, "--daystream", dir / "stream"}));
    onlookers.push_back(std::make_unique<Onlooker>(mirrors.back()));
  }
  for (int i = 0; i < 20; ++i) primary.execute(kTransfer);
  for (const std::string& mirror : mirrors) wait_for(mirror, primary);
  require_replayed(standby, primary);

  primary.kill9();
  standby.promote();
  for (int i = 0; i < 20; ++i) standby.execute(kTransfer);
  require_read(standby, stream);
  for (int i = 0; i < 20; ++i) standby.execute(kTransfer);
  for (const std::string& mirror : mirrors) wait_for(mirror, standby);
  for (std::size_t i = 0; i < mirrors.size(); ++i) {
    INFO(owners[i]->err());
    CHECK(onlookers[i]->stop() == "");
    CHECK(onlookers[i]->looks() > 0);
    support::SqliteReader reader(mirrors[i]);
    CHECK(reader.scalar("SELECT n FROM total") == standby.scalar("SELECT n FROM total"));
    CHECK(reader.scalar("SELECT count(*) FROM part WHERE n = 60") == "10");
    check_stops(*owners[i]);
  }
}

// The same where the mirror has no connection.
TEST_CASE(
    "deltamirror: after a standby without the slot took over, the command that is named works",
    "[fault][deltamirror][failover]") {
  support::Cluster primary;
  primary.execute(
      "CREATE TABLE part(id int PRIMARY KEY, n int);"
      "INSERT INTO part SELECT g, 0 FROM generate_series(1, 1000) g");
  support::Cluster standby({.standby_of = &primary});
  const std::string conninfo = conninfo_of(primary, standby);
  const support::TempDir dir;
  support::Process stream = streaming(conninfo, dir / "stream");
  wait_until_streaming(dir / "stream", stream);
  const std::vector<std::string> mirrors = {dir / "it's one.db", dir / "two.db"};
  for (const std::string& mirror : mirrors) {
    support::run_ok({support::program("deltamirror"), "seed", mirror, "-d", conninfo, "--daystream",
                     dir / "stream", "--table", "part"});
  }
  support::Process first(
      {support::program("deltamirror"), "run", mirrors[0], "--daystream", dir / "stream"});
  // What is there to be had of the second comes from a snapshot of the first.
  support::Process second({support::program("deltamirror"), "run", mirrors[1], "--daystream",
                           dir / "stream", "--from", dir / "newer.db"});
  primary.execute("UPDATE part SET n = 1");
  for (const std::string& mirror : mirrors) wait_for(mirror, primary);
  require_replayed(standby, primary);
  primary.kill9();
  standby.promote();
  standby.execute("UPDATE part SET n = 2");
  require_read(standby, stream);
  standby.execute("UPDATE part SET n = n + 1 WHERE id = 1");

  CHECK(first.wait() == support::Exit{3, 0});
  const std::string said = first.err();
  INFO(said);
  const std::string begin = "run: deltamirror run ";
  const std::size_t at = said.rfind(begin);
  REQUIRE(at != std::string::npos);
  const std::size_t end = said.find(" (with what", at);
  REQUIRE(end != std::string::npos);
  const std::string command = said.substr(at + begin.size(), end - at - begin.size());
  support::Process again(
      {"/bin/sh", "-c", "exec '" + support::program("deltamirror") + "' run " + command},
      {.env = {{"PGHOST", primary.socket_dir() + "," + standby.socket_dir()},
               {"PGUSER", "postgres"},
               {"PGTARGETSESSIONATTRS", "read-write"}}});
  const auto is_equal = [&](const std::string& mirror) {
    wait_for(mirror, standby);
    support::SqliteReader reader(mirror);
    CHECK(reader.scalar("SELECT sum(n) FROM part") == standby.scalar("SELECT sum(n) FROM part"));
  };
  INFO(again.err());
  is_equal(mirrors[0]);
  standby.execute("UPDATE part SET n = n + 1 WHERE id = 2");
  is_equal(mirrors[0]);

  CHECK(second.running());
  INFO(second.err());
  CHECK(
      support::eventually([&] { return second.err().find("trying again") != std::string::npos; }));
  support::run_ok({support::program("deltamirror"), "snapshot", mirrors[0], dir / "made.db"});
  std::filesystem::rename(dir / "made.db", dir / "newer.db");
  is_equal(mirrors[1]);
  standby.execute("UPDATE part SET n = n + 1 WHERE id = 3");
  is_equal(mirrors[1]);
  for (support::Process* process : {&again, &second}) check_stops(*process);
}

// Both go on: an old primary that nobody has fenced, or a copy of the primary that was promoted to
// try something on it. Transaction ids of the two say nothing of each other.
TEST_CASE("deltamirror: no row is taken from a server that is on another timeline than the stream",
          "[fault][deltamirror][failover]") {
  const bool stream_goes_over = GENERATE(true, false);
  CAPTURE(stream_goes_over);
  support::Cluster old;
  old.execute(
      "CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')");
  support::Cluster promoted({.standby_of = &old});
  const support::TempDir dir;
  support::Process stream = streaming(old.conninfo(), dir / "stream");
  wait_until_streaming(dir / "stream", stream);
  const auto mirror = [&](const char* command, const std::string& file, const support::Cluster& d,
                          const std::vector<std::string>& more) {
    std::vector<std::string> argv = {support::program("deltamirror"), command, file, "-d",
                                     d.conninfo()};
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  };
  const std::vector<std::string> from = {"--daystream", dir / "stream"};
  const std::vector<std::string> table = {"--daystream", dir / "stream", "--table", "t"};
  const std::string file = dir / "m.db";
  support::run_ok(mirror("seed", file, old, table));
  require_replayed(promoted, old);
  promoted.promote();
  if (stream_goes_over) {
    check_stops(stream);
    stream = streaming(promoted.conninfo(), dir / "stream");
  }
  support::Cluster& right = stream_goes_over ? promoted : old;
  support::Cluster& wrong = stream_goes_over ? old : promoted;
  for (int i = 0; i < 20; ++i) wrong.execute("SELECT txid_current()");
  wrong.execute("INSERT INTO t VALUES (666, 'wrong'); DELETE FROM t WHERE id = 1");
  require_read(right, stream);
  right.execute("INSERT INTO t VALUES (201, 'right')");
  right.execute("CREATE TABLE big AS SELECT repeat('x', 1000) FROM generate_series(1, 9000)");
  right.execute("INSERT INTO t VALUES (202, 'right')");

  const auto says_so = [](const std::string& text) {
    return text.find("on timeline 1") != std::string::npos &&
           text.find("on timeline 2") != std::string::npos &&
           text.find("the server that deltastream is connected to") != std::string::npos;
  };
  support::Process run(mirror("run", file, wrong, from));
  if (stream_goes_over) {
    // It is behind a gap, and cannot be healed from there.
    const bool said = support::eventually([&] { return says_so(run.err()); });
    INFO(run.err());
    CHECK(said);
    const support::Result status = support::run({support::program("deltamirror"), "status", file});
    INFO(status.out);
    CHECK(status.exit.code == 1);
    CHECK(says_so(status.out));
  } else {
    wait_for(file, right);
  }
  CHECK(support::SqliteReader(file).scalar("SELECT count(*) FROM t WHERE id = 666") == "0");
  check_stops(run);
  std::vector<std::vector<std::string>> commands = {mirror("verify", file, wrong, from),
                                                    mirror("seed", dir / "new.db", wrong, table)};
  // Behind a gap it waits until there is a server that has what is missing.
  if (!stream_goes_over) commands.push_back(mirror("reseed", file, wrong, table));
  for (const auto& command : commands) {
    CAPTURE(command);
    const support::Result refused = support::run(command);
    INFO(refused.err);
    CHECK(refused.exit == support::Exit{1, 0});
    CHECK(says_so(refused.err));
  }
  CHECK_FALSE(std::filesystem::exists(dir / "new.db"));

  support::Process again(mirror("run", file, right, from));
  wait_for(file, right);
  INFO(again.err());
  CHECK(support::SqliteReader(file).scalar("SELECT group_concat(id) FROM t") ==
        right.scalar("SELECT string_agg(id::text, ',' ORDER BY id) FROM t"));
  check_stops(again);
}

TEST_CASE(
    "deltamirror: a standby that has the slot takes over, and the stream goes on without a gap",
    "[fault][deltamirror][failover]") {
  support::Cluster primary;
  if (PQserverVersion(primary.session().connection()) < 170000) {
    WARN("slots are kept by standbys from PostgreSQL 17 on: nothing was tried");
    return;
  }
  primary.execute("CREATE TABLE part(id int PRIMARY KEY, n int)");
  support::Cluster standby({.config = {"hot_standby_feedback = on", "sync_replication_slots = on",
                                       "primary_conninfo = 'host=" + primary.socket_dir() +
                                           " user=postgres dbname=postgres'"},
                            .standby_of = &primary,
                            .standby_slot = "standby"});
  const std::string conninfo = conninfo_of(primary, standby);
  const support::TempDir dir;
  // Nothing is told that the standby does not have: where it is behind, so are we.
  primary.configure({"synchronized_standby_slots = 'standby'"});
  support::Process stream({support::program("deltastream"), "-d", conninfo, "-S", "m", "-D",
                           dir / "stream", "--create-slot"});
  wait_until_streaming(dir / "stream", stream);
  support::run_ok({support::program("deltamirror"), "seed", dir / "m.db", "-d", conninfo,
                   "--daystream", dir / "stream", "--table", "part"});
  support::Process owner(
      {support::program("deltamirror"), "run", dir / "m.db", "--daystream", dir / "stream"});
  REQUIRE(support::eventually([&] {
    return standby.scalar(
               "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'm' AND synced AND NOT "
               "temporary") == "1";
  }));
  primary.execute("INSERT INTO part SELECT g, 0 FROM generate_series(1, 1000) g");
  wait_for(dir / "m.db", primary);

  // A standby that stands still is waited for, and status says so.
  standby.stop();
  primary.execute("UPDATE part SET n = 1");
  CHECK(support::eventually([&] {
    return support::run({support::program("deltastream"), "status", dir / "stream"})
               .out.find("synchronized_standby_slots (standby)") != std::string::npos;
  }));
  CHECK(support::SqliteReader(dir / "m.db").scalar("SELECT sum(n) FROM part") == "0");
  standby.start();
  wait_for(dir / "m.db", primary);

  primary.kill9();
  standby.promote();
  standby.execute("UPDATE part SET n = n + 1");
  require_read(standby, stream);
  wait_for(dir / "m.db", standby);
  CHECK(support::SqliteReader(dir / "m.db").scalar("SELECT sum(n) FROM part") == "2000");
  CHECK(support::run_ok({support::program("daystream"), "cat", dir / "stream"})
            .find("\t_action\tgap") == std::string::npos);
  CHECK(owner.err().find("copied") == std::string::npos);
  check_stops(owner);
}
