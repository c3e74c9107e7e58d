// What is confirmed is on disk, and what is on disk is confirmed (docs/guarantees.md#nothing-lost,
// docs/guarantees.md#idle-is-free-and-nobody-waits).
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <string_view>

#include "daystream/proven_time.h"
#include "daystream/reader.h"
#include "program/postgres.h"
#include "stream.h"
#include "support/cut_proxy.h"

using deltastream_test::check_sound;
using deltastream_test::contains;
using deltastream_test::lsn_value;
using deltastream_test::Stream;
using deltastream_test::streaming;
using support::Cluster;
using support::CutProxy;
using support::Exit;
using support::Process;

namespace {

// A client that commits as fast as it can until it is killed. A statement each: a backend inside a
// long one would miss the end of its client, and of its postmaster.
Process writer(const Cluster& cluster) {
  Process::Options options;
  options.input = "INSERT INTO fox VALUES (DEFAULT);\n";
  options.env = {{"PGAPPNAME", "load"}};
  return Process({Cluster::tool("pgbench"), "-n", "-T", "600", "-f", "/dev/stdin", "-h",
                  cluster.socket_dir(), "-U", "postgres", "postgres"},
                 options);
}

// Whether these bytes end with a standby status update that asks for a reply. (PostgreSQL's
// documentation, "Streaming Replication Protocol": CopyData of 'r', three positions, a time and a
// byte that is 1 then.)
bool asks_for_reply(std::string_view bytes) {
  constexpr std::size_t kSize = 1 + 4 + 1 + 4 * 8 + 1;
  constexpr std::string_view kHead("d\0\0\0\x26r", 6);
  if (bytes.size() < kSize) return false;
  bytes.remove_prefix(bytes.size() - kSize);
  return bytes.substr(0, kHead.size()) == kHead && bytes.back() == 1;
}

// Keeps everyone from reading a catalog, until it is released.
class CatalogLock {
 public:
  CatalogLock(const Cluster& cluster, const std::string& catalog)
      : cluster_(cluster),
        catalog_(catalog),
        session_(daystream::program::connect(cluster.conninfo(), "lock")) {
    daystream::program::exec(session_.get(), "BEGIN");
    daystream::program::exec(session_.get(), "LOCK " + catalog + " IN ACCESS EXCLUSIVE MODE");
  }
  void release() const { daystream::program::exec(session_.get(), "COMMIT"); }
  bool has_waiter() const {
    return support::eventually([&] {
      return cluster_.scalar("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '" +
                             catalog_ + "'::regclass") == "1";
    });
  }

 private:
  const Cluster& cluster_;
  std::string catalog_;
  daystream::program::PgConn session_;
};

bool load_is_over(const Cluster& cluster) {
  return support::eventually([&] {
    return cluster.scalar(
               "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'load'") == "0";
  });
}

}  // namespace

TEST_CASE("stream: a commit is on disk and confirmed, in order and once", "[streamer]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY, b text)");
  const Stream stream(cluster);
  Process process = stream.start({"--create-slot"});
  REQUIRE(streaming(process));
  cluster.execute("INSERT INTO fox VALUES (1, 'one')");
  cluster.execute("BEGIN; UPDATE fox SET b = 'two'; DELETE FROM fox; COMMIT");
  REQUIRE(stream.caught_up());
  CHECK(stream.lines("_action\tinsert\ta\t1\tb\tone").size() == 1);
  CHECK(stream.lines("_action\tupdate\ta\t1\tb\ttwo").size() == 1);
  CHECK(stream.lines("_action\tdelete\ta\t1").size() == 1);
  check_sound(stream);

  process.signal(SIGTERM);
  CHECK(process.wait() == Exit{0, 0});
  CHECK(contains(process.err(), "all of it is on disk and confirmed"));
}

TEST_CASE("stream: who is stopped confirms what was received", "[streamer]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a serial PRIMARY KEY)");
  const Stream stream(cluster);
  stream.create_slot();
  // A commit waits for the next fdatasync, unless the server asked first: then, or where it was
  // stopped before the commit came, it is done once more.
  const auto stopped_with_unconfirmed = [&] {
    Process process = stream.start({"-F", "600"});
    REQUIRE(streaming(process));
    const std::size_t before = stream.commit_lsns().size();
    cluster.execute("INSERT INTO fox VALUES (DEFAULT)");
    const std::uint64_t inserted = lsn_value(cluster.scalar("SELECT pg_current_wal_insert_lsn()"));
    REQUIRE(support::eventually([&] {
      return lsn_value(cluster.scalar("SELECT coalesce(max(sent_lsn), '0/0') FROM "
                                      "pg_stat_replication")) >= inserted;
    }));
    const bool unconfirmed = lsn_value(stream.confirmed()) < inserted;
    process.signal(SIGTERM);
    CHECK(process.wait() == Exit{0, 0});
    return unconfirmed && stream.commit_lsns().size() > before;
  };
  REQUIRE(support::eventually(stopped_with_unconfirmed));
  CHECK(lsn_value(stream.confirmed()) >= lsn_value(stream.commit_lsns().back()));
}

TEST_CASE("stream: the first line is a mark where the slot stands, each connection begins with one",
          "[streamer]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY)");
  const Stream stream(cluster);
  stream.create_slot();
  const std::string adopted = stream.confirmed();
  cluster.execute("INSERT INTO fox VALUES (1)");
  REQUIRE(stream.run_to_end({"--tables", "fox"}).ok());
  const std::string first = stream.text().substr(0, stream.text().find('\n'));
  CHECK(contains(first, "\t_lsn\t" + adopted + "\t_timeline\t1\t_next\t"));
  CHECK(contains(first, "\t_action\tmark\ttables\tfox"));
  CHECK(stream.lines("_action\tinsert").size() == 1);

  REQUIRE(stream.run_to_end({"--tables", "fox,hen", "-o", "actions=insert"}).ok());
  const auto begins = stream.lines("\t_action\tmark\ttables\t");
  REQUIRE(begins.size() == 2);
  CHECK(contains(begins[1], "_action\tmark\ttables\tfox,hen\tactions\tinsert"));
  CHECK(contains(support::read_file(stream.directory() / "daystream.json"), "fox,hen"));
}

TEST_CASE("stream: `_next` of a first mark is past every transaction that began before it",
          "[streamer]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY)");
  const Stream stream(cluster);
  REQUIRE(stream.run_to_end({"--create-slot"}).ok());
  support::Session open = cluster.session();
  open.execute("BEGIN; INSERT INTO fox VALUES (1)");
  const auto xid = std::stoull(open.scalar("SELECT pg_current_xact_id()"));
  REQUIRE(stream.run_to_end().ok());
  const std::string mark = stream.lines("\t_action\tmark\ttables\t").back();
  const std::size_t at = mark.find("\t_next\t") + 7;
  CHECK(std::stoull(mark.substr(at)) > xid);
}

TEST_CASE("stream: WAL that is not ours is confirmed through marks", "[streamer]") {
  const Cluster cluster;
  cluster.create_database("other");
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY); CREATE TABLE hen (a int PRIMARY KEY)");
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY)", "other");
  const Stream stream(cluster);
  Process process = stream.start({"--create-slot", "--tables", "fox"});
  REQUIRE(streaming(process));
  SECTION("filtered") {
    cluster.execute("INSERT INTO hen SELECT generate_series(1, 100000)");
  }
  SECTION("of another database") {
    cluster.execute("INSERT INTO fox SELECT generate_series(1, 100000)", "other");
  }
  SECTION("no row at all") {
    cluster.execute("CHECKPOINT");
  }
  CHECK(stream.caught_up());
  CHECK(stream.commit_lsns().empty());
  CHECK(stream.lines("\t_action\tmark").size() >= 2);
  // The slot is never ahead of what is on disk.
  CHECK(contains(stream.lines("\t_action\tmark").back(), stream.confirmed()));
}

TEST_CASE("stream: an idle server costs next to no lines", "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  Process process = stream.start({"--create-slot", "-s", "1"});
  REQUIRE(streaming(process));
  REQUIRE(stream.caught_up());
  // Its own marks must not make WAL that asks for the next mark. Several pings and status packets
  // go by while the server counts replies.
  const std::string query = "SELECT coalesce(max(reply_time), 'epoch') FROM pg_stat_replication";
  const std::string settled = stream.text();
  const std::string before = cluster.scalar(query);
  for (int i = 0; i < 3; ++i) {
    const std::string reply = cluster.scalar(query);
    REQUIRE(support::eventually([&] { return cluster.scalar(query) != reply; }));
  }
  CHECK(cluster.scalar(query) != before);
  // The server's own snapshots of running transactions may add a mark or two, and that there is
  // nothing new is one every 10 s.
  CHECK(std::count(settled.begin(), settled.end(), '\n') + 3 >=
        static_cast<std::ptrdiff_t>(stream.lines("").size()));
}

TEST_CASE("stream: an idle server's time is proven by marks", "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  Process process = stream.start({"--create-slot", "-s", "1"});
  REQUIRE(streaming(process));
  const std::int64_t asked = std::stoll(
      cluster.scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"));
  daystream::Reader reader(stream.directory(), {});
  CHECK(support::eventually([&] {
    while (daystream::Transaction* next = reader.next()) {
      if (daystream::proven_time_us(*next) >= asked) return true;
    }
    return false;
  }));
}

TEST_CASE("stream: after an outage no time is proven before its commits are there", "[streamer]") {
  Cluster cluster({.config = {"autovacuum = off"}});
  cluster.execute(
      "CREATE TABLE fox (a int PRIMARY KEY); ALTER TABLE fox ENABLE ROW LEVEL SECURITY;"
      "CREATE TABLE hen (a int DEFAULT 0)");
  const Stream stream(cluster);
  REQUIRE(stream.run_to_end({"--create-slot", "--tables", "fox"}).ok());
  // While it is away: much that is not ours, and a commit of ours behind it.
  cluster.execute(
      "DO 'BEGIN FOR i IN 1..1000 LOOP INSERT INTO hen VALUES (i); COMMIT; END LOOP; END'");
  cluster.execute("INSERT INTO fox VALUES (1)");
  const std::size_t before = stream.lines("\t_action\tmark").size();
  // Decoding reads the default of hen before its first row, and the policies of fox before its
  // first: two locks hold the walsender at these two places.
  const CatalogLock at_hen(cluster, "pg_attrdef");
  const CatalogLock at_fox(cluster, "pg_policy");
  CutProxy proxy(cluster.socket_dir());
  std::atomic<int> questions = 0;
  proxy.watch_to_server(
      [&](std::string_view bytes) { questions += asks_for_reply(bytes) ? 1 : 0; });
  Process process({support::program("deltastream"), "-d",
                   proxy.conninfo() + " user=postgres dbname=postgres", "-S", stream.slot(), "-D",
                   stream.directory().string(), "--tables", "fox", "-s", "0"});
  REQUIRE(at_hen.has_waiter());
  // The next question where the server is lies in the walsender's socket until it is past the first
  // row of hen, and is answered then.
  const int asked = questions;
  REQUIRE(support::eventually([&] { return questions > asked; }));
  at_hen.release();
  REQUIRE(at_fox.has_waiter());
  CHECK(support::eventually([&] { return stream.lines("\t_action\tmark").size() > before + 1; }));
  CHECK(stream.lines("\t_action\tcommit").empty());
  at_fox.release();
  CHECK(stream.caught_up());
  process.signal(SIGTERM);
  CHECK(process.wait() == Exit{0, 0});

  daystream::Reader reader(stream.directory(), {});
  std::int64_t proven = 0;
  int commits = 0;
  while (daystream::Transaction* next = reader.next()) {
    if (next->kind() == daystream::Transaction::Kind::Transaction) {
      ++commits;
      CHECK(next->end().time_us >= proven);
    }
    proven = std::max(proven, daystream::proven_time_us(*next));
  }
  CHECK(commits == 1);
}

TEST_CASE("stream: a server stops at once with an idle, a filtered and a busy stream",
          "[streamer]") {
  Cluster cluster;
  cluster.execute("CREATE TABLE fox (a serial PRIMARY KEY); CREATE TABLE hen (a int)");
  const Stream stream(cluster);
  const bool busy = GENERATE(false, true);
  std::vector<std::string> more = {"--create-slot"};
  if (!busy) more.insert(more.end(), {"--tables", "nothing"});
  Process process = stream.start(more);
  REQUIRE(streaming(process));
  Process load = writer(cluster);
  REQUIRE(
      support::eventually([&] { return cluster.scalar("SELECT count(*) > 100 FROM fox") == "t"; }));
  cluster.stop(Cluster::Shutdown::Fast);  // fails when it takes longer than pg_ctl waits
  CHECK_FALSE(cluster.running());
  // Nothing was left unconfirmed: the server waited for that, and came up with it.
  REQUIRE(support::eventually([&] { return contains(process.err(), "WARN"); }));
  cluster.start();
  CHECK(stream.caught_up());
  check_sound(stream);
  if (busy) {
    CHECK(std::to_string(stream.commit_lsns().size()) ==
          cluster.scalar("SELECT count(*) FROM fox"));
  }
}

TEST_CASE("stream: nothing lost, nothing twice, whatever is killed", "[streamer][kill]") {
  Cluster cluster;
  cluster.execute("CREATE TABLE fox (a serial PRIMARY KEY)");
  const Stream stream(cluster);
  stream.create_slot();
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 12; ++round) {
    Process process = stream.start();
    REQUIRE(streaming(process));
    Process load = writer(cluster);
    const std::string from = stream.confirmed();
    const auto moved = [&] { return lsn_value(stream.confirmed()) > lsn_value(from); };
    REQUIRE(support::eventually(moved));
    switch (std::uniform_int_distribution<int>(0, 2)(random)) {
      case 0:
        process.signal(SIGKILL);
        break;
      case 1:
        cluster.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots");
        break;
      default:
        cluster.kill9();
        cluster.start();
    }
    // The rule of all: what the slot says is confirmed is in the daystream.
    const std::string confirmed = stream.confirmed();
    load.signal(SIGKILL);
    load.wait();
    REQUIRE(load_is_over(cluster));
    process.signal(SIGKILL);
    process.wait();
    REQUIRE(stream.run_to_end().ok());
    CHECK(lsn_value(stream.confirmed()) >= lsn_value(confirmed));
  }
  REQUIRE(stream.run_to_end().ok());
  check_sound(stream);
  // Each committed row in exactly one transaction that was not given up.
  CHECK(std::to_string(stream.commit_lsns().size()) == cluster.scalar("SELECT count(*) FROM fox"));
}

TEST_CASE("stream: an open transaction ends with abort and comes again whole", "[streamer]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int, b text)");
  const Stream stream(cluster);
  stream.create_slot();
  // Large enough to be written as it arrives. Whether it is caught half way is luck: try until so.
  std::size_t transactions = 0;
  while (transactions < 20 && (transactions == 0 || stream.lines("_action\tabort").empty())) {
    Process process = stream.start();
    REQUIRE(streaming(process));
    const auto size = stream.size_bytes();
    cluster.execute("INSERT INTO fox SELECT g, repeat('x', 500) FROM generate_series(1, 50000) g");
    ++transactions;
    REQUIRE(support::eventually([&] { return stream.size_bytes() > size + 2'000'000; }));
    process.signal(SIGTERM);
    CHECK(process.wait() == Exit{0, 0});
    REQUIRE(stream.run_to_end().ok());
  }
  CHECK(stream.lines("_action\tabort").size() == 1);
  CHECK(stream.commit_lsns().size() == transactions);
  check_sound(stream);
}

TEST_CASE("stream: as synchronous standby it releases commits when they are on disk",
          "[streamer]") {
  Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY); CREATE TABLE hen (a int)");
  const Stream stream(cluster);
  stream.create_slot();
  cluster.configure({"synchronous_standby_names = 'deltastream'"});
  Process process = stream.start({"--tables", "fox"});
  REQUIRE(streaming(process));
  for (int i = 0; i < 50; ++i) {
    cluster.execute("INSERT INTO fox VALUES (" + std::to_string(i) + ")");
    const auto durable = stream.lines("_action\tcommit").size();
    CHECK(durable == static_cast<std::size_t>(i) + 1);
    cluster.execute("INSERT INTO hen VALUES (1)");  // filtered: must return all the same
  }
  // A slot cannot be made now: it would wait for commits that wait for us.
  const Stream second(cluster, "second");
  const support::Result refused = support::run(
      {support::program("deltastream"), "-d", cluster.conninfo() + " application_name=deltastream",
       "-S", "second", "--create-slot"});
  CHECK(refused.exit == Exit{3, 0});
  CHECK(contains(refused.err, "required synchronous standby"));
}

TEST_CASE("stream: memory does not grow with a transaction", "[streamer]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY, b text)");
  const Stream stream(cluster);
  Process process = stream.start({"--create-slot"});
  REQUIRE(streaming(process));
  cluster.execute("INSERT INTO fox SELECT g, 'row ' || g FROM generate_series(1, 500000) g");
  REQUIRE(stream.caught_up());
  CHECK(stream.commit_lsns().size() == 1);
  CHECK(process.peak_resident_bytes() < (64U << 20));
}

TEST_CASE("stream: what other programs send each other passes by, however large", "[streamer]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY)");
  const Stream stream(cluster);
  Process process = stream.start({"--create-slot"});
  REQUIRE(streaming(process));
  for (const char* transactional : {"true", "false"}) {
    cluster.execute(std::string("BEGIN; INSERT INTO fox SELECT count(*) FROM fox; "
                                "SELECT pg_logical_emit_message(") +
                    transactional + ", 'theirs', repeat('x', 100 << 20)); COMMIT");
  }
  CHECK(stream.caught_up());
  CHECK(stream.commit_lsns().size() == 2);
  CHECK(stream.size_bytes() < 10'000);
  CHECK(process.peak_resident_bytes() < (64U << 20));
}

TEST_CASE("stream: -n ends with the connection, else it comes back", "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  stream.create_slot();
  const bool loop = GENERATE(false, true);
  Process process =
      stream.start(loop ? std::vector<std::string>{} : std::vector<std::string>{"-n"});
  REQUIRE(streaming(process));
  cluster.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots");
  if (loop) {
    const auto again = [&] {
      const std::string log = process.err();
      const std::size_t first = log.find("streaming from slot");
      return log.find("streaming from slot", first + 1) != std::string::npos;
    };
    CHECK(support::eventually(again));
  } else {
    CHECK(process.wait() == Exit{1, 0});
    CHECK(contains(process.err(), "PostgreSQL ended the stream: terminating connection"));
  }
}

TEST_CASE("stream: a slot that is lost while streaming ends it and is not made again",
          "[streamer]") {
  Cluster::Options options;
  options.config = {"max_slot_wal_keep_size = 1MB", "wal_keep_size = 0", "max_wal_size = 32MB",
                    "min_wal_size = 32MB"};
  const Cluster cluster(options);
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY)");
  const Stream stream(cluster);
  REQUIRE(stream.run_to_end({"--create-slot"}).ok());
  const auto lost = [&] {
    cluster.execute("SELECT pg_switch_wal(); CHECKPOINT");
    return cluster.scalar("SELECT wal_status FROM pg_replication_slots") == "lost";
  };
  REQUIRE(support::eventually(lost));
  const support::Result result = stream.run();
  CHECK(result.exit == Exit{3, 0});
  CHECK(contains(result.err, "replication slot \"stream\" is lost"));
  CHECK(contains(result.err, "--recreate-slot"));

  const support::Result recreated = stream.run({"--recreate-slot"});
  CAPTURE(recreated.err);
  REQUIRE(recreated.ok());
  cluster.execute("INSERT INTO fox VALUES (1)");
  REQUIRE(stream.run_to_end().ok());
  CHECK(stream.lines("\t_action\tgap").size() == 1);
  CHECK(stream.commit_lsns().size() == 1);
  check_sound(stream);

  const support::Result needless = stream.run({"--recreate-slot"});
  CHECK(needless.exit == Exit{1, 0});
  CHECK(contains(needless.err, "is in order: nothing to re-create"));
}

TEST_CASE("stream: a slot that is gone is replaced behind one gap, whenever that is killed",
          "[streamer]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY)");
  const Stream stream(cluster);
  REQUIRE(stream.run_to_end({"--create-slot"}).ok());
  cluster.execute("SELECT pg_drop_replication_slot('stream'); INSERT INTO fox VALUES (1)");
  const support::Result stopped = stream.run();
  CHECK(stopped.exit == Exit{3, 0});
  CHECK(contains(stopped.err, "--on-lost-slot replace"));

  // A new slot waits for the transactions that are older than it.
  support::Session older(cluster.conninfo());
  older.execute("BEGIN; INSERT INTO fox VALUES (2)");
  {
    support::Process killed(stream.command({"--on-lost-slot", "replace"}));
    REQUIRE(support::eventually(
        [&] { return cluster.scalar("SELECT count(*) FROM pg_replication_slots") == "1"; }));
    killed.signal(SIGKILL);
    killed.wait();
  }
  CHECK(stream.lines("\t_action\tgap").size() == 1);
  older.execute("COMMIT");
  REQUIRE(support::eventually([&] {
    return cluster.scalar("SELECT count(*) FROM pg_replication_slots WHERE active") == "0";
  }));

  // As if it had been killed after the slot was made.
  cluster.execute(
      "SELECT pg_create_logical_replication_slot('stream', 'deltaflood') "
      "WHERE NOT EXISTS (SELECT FROM pg_replication_slots)");
  cluster.execute("INSERT INTO fox VALUES (3)");
  const support::Result on = stream.run_to_end({"--on-lost-slot", "replace"});
  CAPTURE(on.err);
  REQUIRE(on.ok());
  CHECK(stream.lines("\t_action\tgap").size() == 1);
  CHECK(stream.commit_lsns().size() == 1);
  check_sound(stream);

  cluster.execute("SELECT pg_drop_replication_slot('stream')");
  REQUIRE(stream.run_to_end({"--on-lost-slot", "replace"}).ok());
  cluster.execute("INSERT INTO fox VALUES (4)");
  REQUIRE(stream.run_to_end().ok());
  CHECK(stream.lines("\t_action\tgap").size() == 2);
  CHECK(stream.commit_lsns().size() == 2);
  check_sound(stream);
}
