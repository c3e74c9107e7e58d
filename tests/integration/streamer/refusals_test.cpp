// Everything deltastream refuses: one clear line, the exit code of docs/errors.md#exit-codes,
// nothing written.
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <tuple>

#include "stream.h"
#include "support/slot.h"

using deltastream_test::check_sound;
using deltastream_test::contains;
using deltastream_test::Stream;
using deltastream_test::streaming;
using support::Cluster;
using support::Exit;
using support::Process;
using support::Result;

namespace {

// One cluster for all that only look.
const Cluster& shared() {
  static const Cluster cluster;
  return cluster;
}

void check_refused(const Result& result, int code, const std::string& message) {
  CAPTURE(result.err);
  CHECK(result.exit == Exit{code, 0});
  CHECK(contains(result.err, message));
}

// After it the slot is one that `stream` has read from.
void read_a_row(const Cluster& cluster, const Stream& stream) {
  cluster.execute("CREATE TABLE t(id int PRIMARY KEY)");
  REQUIRE(stream.run_to_end({"--create-slot"}).ok());
  cluster.execute("INSERT INTO t VALUES(1)");
  REQUIRE(stream.run_to_end().ok());
}

// What a person typed wrong: nothing of the server is asked.
Result run_program(std::vector<std::string> arguments, const std::string& input = {}) {
  arguments.insert(arguments.begin(), support::program("deltastream"));
  Process::Options options;
  options.input = input;
  return support::run(arguments, options);
}

}  // namespace

TEST_CASE("refusal: wrong usage names what is wrong", "[streamer][usage]") {
  struct Case {
    std::vector<std::string> arguments;
    std::string message;
  };
  const std::vector<Case> cases = {
      {{}, "deltastream: no slot specified"},
      {{"-S", "s"}, "deltastream: no directory specified"},
      {{"-S", "s", "-D", "", "--create-slot"}, "deltastream: --directory is empty"},
      {{"-S", "s", "-D", "d", "--frobnicate"}, "unrecognized option \"--frobnicate\""},
      {{"-S", "s", "-D", "d", "extra"}, "unrecognized argument \"extra\""},
      {{"-S", "s", "-D", "d", "-o", "include-xids=off"},
       "option \"include-xids\" is not a filter: -o takes tables, exclude-tables, "
       "exclude-columns, actions, only-local, include-messages"},
      {{"-S", "s", "-D", "d", "--tables", "a", "-o", "tables=b"},
       "filter \"tables\" specified "
       "twice"},
      {{"-S", "s", "-D", "d", "-E", "17"}, "invalid --endpos \"17\": write it like 0/17B1480"},
      {{"-S", "s", "-D", "d", "-F", "-1"}, "must be between 0 and 86400 seconds"},
      {{"-S", "s", "-D", "d", "--if-not-exists"}, "--if-not-exists needs --create-slot"},
      {{"-S", "s", "-D", "d", "--check", "--stdin"}, "exclude each other"},
      {{"--stdin", "-D", "d", "--tables", "a"}, "--stdin takes no filters"},
  };
  for (const Case& c : cases) {
    const Result result = run_program(c.arguments);
    check_refused(result, 2, c.message);
    CHECK(contains(result.err, "Try \"deltastream --help\" for more information."));
  }
}

TEST_CASE("refusal: a bad configuration file names file and key", "[streamer][usage]") {
  const support::TempDir temp;
  const std::string file = (temp / "c.json").string();
  support::write_file(file, R"({"slot": "s", "slod": "t"})");
  check_refused(run_program({"--config", file}), 2,
                "unrecognized key \"slod\" of configuration file \"" + file + "\"");
  support::write_file(file, R"({"slot": )");
  check_refused(run_program({"--config", file}), 2, "cannot read configuration file");
  check_refused(run_program({"--config", file + ".none"}), 2, "could not read configuration file");
}

TEST_CASE("refusal: a slot that does not exist", "[streamer]") {
  const Stream stream(shared(), "missing");
  check_refused(stream.run(), 3, "replication slot \"missing\" does not exist");
  CHECK_FALSE(stream.exists());
}

TEST_CASE("refusal: who has never been let in ends, who has waits until he is again",
          "[streamer]") {
  const Cluster cluster;
  cluster.execute("CREATE ROLE streamer LOGIN REPLICATION");
  const auto as = [&](const std::string& database, const std::string& role) {
    return cluster.conninfo(database, role);
  };
  const Stream stream(cluster);
  for (const auto& [database, role, missing] :
       {std::tuple("postgres", "nobody", "role \"nobody\" does not exist"),
        std::tuple("nowhere", "streamer", "database \"nowhere\" does not exist")}) {
    const Result refused = stream.run({"--create-slot", "-d", as(database, role)});
    check_refused(refused, 3, missing);
    CHECK(contains(refused.err, "HINT: "));
    CHECK_FALSE(stream.exists());
  }
  Process process = stream.start({"--create-slot", "-d", as("postgres", "streamer")});
  REQUIRE(streaming(process));
  cluster.execute(
      "ALTER ROLE streamer NOLOGIN; SELECT pg_terminate_backend(active_pid) FROM "
      "pg_replication_slots");
  REQUIRE(support::eventually(
      [&] { return contains(process.err(), "is not permitted to log in; trying again; HINT: "); }));
  const auto status = [&] {
    return support::run({support::program("deltastream"), "status", stream.directory().string()});
  };
  CHECK(support::eventually([&] { return contains(status().out, "ALTER ROLE"); }));
  CHECK(process.running());
  cluster.execute("ALTER ROLE streamer LOGIN; CREATE TABLE later (id int PRIMARY KEY)");
  CHECK(stream.caught_up());
  process.signal(SIGTERM);
  CHECK(process.wait() == Exit{0, 0});
}

TEST_CASE("refusal: a slot of another plugin, kind or database", "[streamer]") {
  const Cluster cluster;
  cluster.execute("SELECT pg_create_logical_replication_slot('other', 'test_decoding')");
  cluster.execute("SELECT pg_create_physical_replication_slot('physical')");
  const Stream other(cluster, "other");
  check_refused(other.run(), 3, "uses plugin \"test_decoding\", not \"deltaflood\"");
  check_refused(support::run({support::program("deltastream"), "-d", cluster.conninfo(), "-S",
                              "other", "--drop-slot"}),
                3, "is not ours to drop");
  const Stream physical(cluster, "physical");
  check_refused(physical.run(), 3, "is a physical slot");
  cluster.create_database("second");
  cluster.execute("SELECT pg_create_logical_replication_slot('elsewhere', 'deltaflood')", "second");
  const Stream elsewhere(cluster, "elsewhere");
  check_refused(elsewhere.run(), 3, "is of database \"second\", not \"postgres\"");
  CHECK_FALSE(other.exists());
  CHECK_FALSE(physical.exists());
  CHECK_FALSE(elsewhere.exists());
}

TEST_CASE("refusal: a filter the plugin cannot read", "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  // A slot made for nothing would keep WAL for nobody.
  check_refused(stream.run({"--create-slot", "-o", "actions=explode"}), 2, "actions");
  CHECK(cluster.scalar("SELECT count(*) FROM pg_replication_slots") == "0");
  stream.create_slot();
  check_refused(stream.run({"-o", "actions=explode"}), 2, "actions");
  CHECK(cluster.scalar("SELECT count(*) FROM pg_replication_slots") == "1");
  CHECK_FALSE(stream.exists());
}

TEST_CASE("refusal: a directory of another cluster, database or slot", "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  REQUIRE(stream.run_to_end({"--create-slot"}).ok());
  const std::string before = stream.text();
  const auto with = [&](const Cluster& server, const std::string& database,
                        const std::string& slot) {
    return support::run({support::program("deltastream"), "-d", server.conninfo(database), "-S",
                         slot, "-D", stream.directory().string(), "--create-slot"});
  };

  Cluster::Options options;
  options.own_system_identifier = true;
  const Cluster foreign(options);
  check_refused(with(foreign, "postgres", stream.slot()), 3, "is of another cluster");
  CHECK(foreign.scalar("SELECT count(*) FROM pg_replication_slots") == "0");
  cluster.create_database("second");
  check_refused(with(cluster, "second", stream.slot()), 3,
                "is of database \"postgres\", not \"second\"");
  check_refused(with(cluster, "postgres", "new"), 3, "is of slot \"stream\", not \"new\"");
  CHECK(cluster.scalar("SELECT count(*) FROM pg_replication_slots") == "1");
  CHECK(stream.text() == before);
}

TEST_CASE("refusal: a second deltastream on the same directory", "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  Process first = stream.start({"--create-slot"});
  REQUIRE(streaming(first));
  const Result second = stream.run();
  check_refused(second, 1, "is in use by");
  CHECK(contains(second.err, std::to_string(first.pid())));

  // Neither is one that only does not answer a reason to write beside it.
  first.signal(SIGSTOP);
  check_refused(stream.run(), 1, "is in use by");
  first.signal(SIGCONT);
  CHECK(stream.caught_up());
}

TEST_CASE("refusal: a directory that is moved or replaced under deltastream ends it",
          "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  const std::filesystem::path moved = stream.directory().string() + ".moved";
  Process first = stream.start({"--create-slot"});
  REQUIRE(support::eventually([&] { return contains(first.err(), "streaming from slot"); }));
  CHECK(stream.caught_up());
  std::string how = "deleted or moved away";
  std::filesystem::rename(stream.directory(), moved);
  if (GENERATE(false, true)) {
    std::filesystem::create_directory(stream.directory());
    how = "replaced";
  }
  CHECK(first.wait() == Exit{3, 0});
  CHECK(contains(first.err(), "daystream \"" + stream.directory().string() + "\" was " + how));
  // Nothing is lost: the one that was moved goes on, wherever it is.
  cluster.execute("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES(1)");
  std::filesystem::remove_all(stream.directory());
  std::filesystem::rename(moved, stream.directory());
  CHECK(stream.run_to_end().ok());
  CHECK(stream.lines("_action\tinsert").size() == 1);
  check_sound(stream);
}

TEST_CASE("refusal: of several starts on a new directory one wins, the others say who has it",
          "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  stream.create_slot();
  std::vector<Process> racers;
  for (int i = 0; i < 4; ++i) racers.push_back(stream.start());
  const auto left = [&] {
    return std::count_if(racers.begin(), racers.end(), [](Process& p) { return p.running(); });
  };
  REQUIRE(support::eventually([&] { return left() <= 1; }));
  REQUIRE(left() == 1);
  Process& winner =
      *std::find_if(racers.begin(), racers.end(), [](Process& p) { return p.running(); });
  for (Process& racer : racers) {
    if (&racer == &winner) continue;
    CHECK(racer.wait() == Exit{1, 0});
    CHECK(contains(racer.err(), "is in use by"));
    CHECK(contains(racer.err(), std::to_string(winner.pid())));
  }
  CHECK(stream.caught_up());
  winner.signal(SIGTERM);
  CHECK(winner.wait() == Exit{0, 0});
  check_sound(stream);
}

TEST_CASE("refusal: of a directory that took another's place, that is what is said", "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  read_a_row(cluster, stream);
  std::filesystem::remove_all(stream.directory());
  const Result refused = stream.run();
  check_refused(refused, 3, "the slot belongs to another daystream, which has read from it");
  CHECK(contains(refused.err, "the directory was replaced (its daystream had the id "));
}

TEST_CASE("refusal: a new directory does not take a slot that another has read from",
          "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  read_a_row(cluster, stream);
  cluster.execute("INSERT INTO t VALUES(2)");
  const std::string confirmed = stream.confirmed();
  const Stream typo(cluster);  // the same slot, another directory

  const std::vector<std::string> more = GENERATE(
      std::vector<std::string>{}, std::vector<std::string>{"--create-slot", "--if-not-exists"});
  const Result refused = typo.run(more);
  check_refused(refused, 3, "the slot belongs to another daystream, which has read from it");
  CHECK(contains(refused.err, "It is that of \"" + stream.directory().string() + "\""));
  CHECK(contains(refused.err, "--adopt-slot"));
  // The check says so, too, and takes nothing.
  const Result looked = typo.run({"--check"});
  CHECK(looked.exit == Exit{3, 0});
  CHECK(contains(looked.out, "It is that of \"" + stream.directory().string() + "\""));
  CHECK(typo.run({"--check", "--adopt-slot"}).ok());
  CHECK(stream.run({"--check"}).ok());
  CHECK_FALSE(typo.exists());
  CHECK(stream.confirmed() == confirmed);
  CHECK(stream.run_to_end().ok());
  CHECK(stream.lines("_action\tinsert").size() == 2);

  // Who insists gets it, once; then it is the other one that is refused.
  cluster.execute("INSERT INTO t VALUES(3)");
  CHECK(typo.run_to_end({"--adopt-slot"}).ok());
  CHECK(typo.lines("_action\tinsert").size() == 1);
  CHECK(typo.run_to_end().ok());
  CHECK(stream.run().exit == Exit{3, 0});
}

TEST_CASE("refusal: --check knows a slot that another daystream reads now", "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  Process running = stream.start({"--create-slot"});
  REQUIRE(streaming(running));
  const Stream typo(cluster);
  const Result looked = typo.run({"--check"});
  CHECK(looked.exit == Exit{3, 0});
  CHECK(contains(looked.out, "the slot is another one's"));
  CHECK(stream.run({"--check"}).ok());
}

TEST_CASE("refusal: where nothing can be made no slot is made either", "[streamer]") {
  const std::string conninfo = shared().conninfo();
  for (const char* how : {"--check", "--no-loop"}) {
    const Result result =
        run_program({"-d", conninfo, "-S", "nowhere", "-D", "/proc/nowhere", "--create-slot", how});
    CHECK(result.exit == Exit{3, 0});
    CHECK(contains(result.out + result.err, "cannot write to directory \"/proc\""));
    CHECK_FALSE(contains(result.err, "created replication slot"));
  }
}

TEST_CASE("refusal: a slot from which nothing was confirmed yet is anybody's", "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  stream.create_slot();
  cluster.execute("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES(1)");
  // It was looked at, by SQL and by a stream that came to nothing.
  cluster.query("SELECT * FROM pg_logical_slot_peek_changes('stream', NULL, NULL)");
  std::filesystem::create_directory(stream.directory());
  std::filesystem::create_directory(stream.directory() / "daystream.json.new");
  std::filesystem::create_directory(stream.directory() / "daystream.json.new/x");
  CHECK_FALSE(stream.run({"--no-loop"}).ok());
  std::filesystem::remove_all(stream.directory());
  CHECK(stream.run_to_end().ok());
  CHECK(stream.lines("_action\tinsert").size() == 1);

  // Read by SQL it is not, nor made again.
  const Stream other(cluster, "other");
  other.create_slot();
  cluster.query("SELECT * FROM pg_logical_slot_get_changes('other', NULL, NULL)");
  cluster.execute("INSERT INTO t VALUES(2)");
  cluster.query("SELECT * FROM pg_logical_slot_get_changes('other', NULL, NULL)");
  check_refused(other.run(), 3, "It is that of a reader that is no daystream");
  cluster.query("SELECT pg_drop_replication_slot('other')");
  other.create_slot();
  CHECK(other.run_to_end().ok());
}

TEST_CASE("refusal: a slot that is ahead of the daystream", "[streamer]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY)");
  const Stream stream(cluster);
  REQUIRE(stream.run_to_end({"--create-slot"}).ok());
  cluster.execute("INSERT INTO fox VALUES (1)");

  SECTION("advanced by hand") {
    support::wait_until_free(cluster, "stream");
    cluster.execute("SELECT pg_replication_slot_advance('stream', pg_current_wal_lsn())");
  }
  SECTION("dropped and made again by someone") {
    support::drop_slot(cluster, "stream");
    stream.create_slot();
  }
  check_refused(stream.run(), 3, "replication slot \"stream\" is ahead of daystream");
  CHECK(stream.lines("fox").empty());
}

TEST_CASE("refusal: a daystream whose days are gone does not begin again where the slot is",
          "[streamer]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY)");
  const Stream stream(cluster);
  REQUIRE(stream.run_to_end({"--create-slot"}).ok());
  cluster.execute("INSERT INTO fox VALUES (1)");
  REQUIRE(stream.run_to_end().ok());
  cluster.execute("INSERT INTO fox VALUES (2)");
  support::wait_until_free(cluster, "stream");
  for (const auto& entry : std::filesystem::directory_iterator(stream.directory())) {
    if (entry.path().filename() != "daystream.json") std::filesystem::remove_all(entry);
  }

  SECTION("with its slot") {
    const std::string confirmed = stream.confirmed();
    for (const char* option : {"--no-loop", "--adopt-slot"}) {
      check_refused(stream.run({option}), 3, "replication slot \"stream\" is ahead of daystream");
    }
    const Result checked = stream.run({"--check"});
    CHECK(checked.exit == Exit{3, 0});
    CHECK(contains(checked.out, "replication slot \"stream\" is ahead of daystream"));
    CHECK(stream.confirmed() == confirmed);
  }
  SECTION("and without") {
    support::drop_slot(cluster, "stream");
    check_refused(stream.run({"--create-slot", "--if-not-exists"}), 3,
                  "does not exist, but daystream");
    CHECK(cluster.scalar("SELECT count(*) FROM pg_replication_slots") == "0");
  }
  CHECK(stream.text().empty());

  // What is lost is told to whoever reads on.
  const Result again = stream.run({"--recreate-slot"});
  CAPTURE(again.err);
  REQUIRE(again.ok());
  cluster.execute("INSERT INTO fox VALUES (3)");
  CHECK(stream.run_to_end().ok());
  CHECK(stream.lines("\t_action\tgap").size() == 1);
  CHECK(stream.commit_lsns().size() == 1);
  check_sound(stream);
}

TEST_CASE("refusal: --create-slot does not hide that the old slot was dropped", "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  REQUIRE(stream.run_to_end({"--create-slot"}).ok());
  support::drop_slot(cluster, "stream");
  check_refused(stream.run({"--create-slot", "--if-not-exists"}), 3,
                "does not exist, but daystream");
  CHECK(cluster.scalar("SELECT count(*) FROM pg_replication_slots") == "0");
}

TEST_CASE("refusal: a server that is not set up says which setting", "[streamer]") {
  SECTION("output_plugin_libraries") {
    Cluster cluster;
    const Stream stream(cluster);
    stream.create_slot();
    cluster.configure({"output_plugin_libraries = 'pgoutput, test_decoding'"});
    const auto refused = [&] {
      const Result result = stream.run({"-n"});
      return result.exit == Exit{3, 0} && contains(result.err, "output_plugin_libraries");
    };
    CHECK(support::eventually(refused));
    CHECK_FALSE(stream.exists());
  }
  SECTION("output_plugin_libraries in one pair of quotes, which is one name") {
    const Cluster cluster;
    if (cluster.scalar("SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'") ==
        "0") {
      return;  // a release that does not know it
    }
    cluster.execute(
        "ALTER SYSTEM SET output_plugin_libraries = 'pgoutput,test_decoding,deltaflood'");
    cluster.execute("SELECT pg_reload_conf()");
    const Stream stream(cluster);
    const auto refused = [&] {
      const Result checked = stream.run({"--check", "--create-slot"});
      return checked.exit == Exit{3, 0} &&
             contains(checked.out + checked.err,
                      "SET output_plugin_libraries = pgoutput, test_decoding, deltaflood; ");
    };
    CHECK(support::eventually(refused));
  }
  SECTION("wal_level") {
    Cluster::Options options;
    options.config = {"wal_level = replica"};
    const Cluster cluster(options);
    const Stream stream(cluster);
    check_refused(stream.run({"--create-slot"}), 3, "wal_level is \"replica\", not \"logical\"");
    CHECK_FALSE(stream.exists());
  }
  SECTION("a role without REPLICATION") {
    const Cluster cluster;
    cluster.execute("CREATE ROLE plain LOGIN");
    const Stream stream(cluster);
    check_refused(
        support::run({support::program("deltastream"), "-d", cluster.conninfo("postgres", "plain"),
                      "-S", "stream", "-D", stream.directory().string()}),
        3, "role \"plain\" may not replicate");
    CHECK_FALSE(stream.exists());
  }
}

TEST_CASE("refusal: a server restored from an older copy has diverged", "[streamer]") {
  Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY)");
  const Stream stream(cluster);
  REQUIRE(stream.run_to_end({"--create-slot"}).ok());
  cluster.stop();
  const support::TempDir copy;
  const std::string data = cluster.data_dir().string();
  support::run_ok({"cp", "-a", data, (copy / "data").string()});
  cluster.start();
  cluster.execute("INSERT INTO fox SELECT generate_series(1, 1000)");
  REQUIRE(stream.run_to_end().ok());
  cluster.stop();
  support::run_ok({"rm", "-rf", data});
  support::run_ok({"cp", "-a", (copy / "data").string(), data});
  cluster.start();
  check_refused(stream.run(), 3, "diverged: daystream");
}

namespace {

// As people do to start a server whose WAL is damaged.
void reset_wal(Cluster& cluster, const std::vector<std::string>& more = {}) {
  const std::string bin = cluster.scalar("SELECT setting FROM pg_config WHERE name = 'BINDIR'");
  cluster.stop();
  std::vector<std::string> argv = {bin + "/pg_resetwal", "-f", "-D", cluster.data_dir().string()};
  argv.insert(argv.end(), more.begin(), more.end());
  support::run_ok(argv, {.user = support::User::server(), .folder = "/"});
  cluster.start();
}

}  // namespace

TEST_CASE("refusal: a slot whose WAL is not there is lost, whatever the server says of it",
          "[streamer]") {
  Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY)");
  const Stream stream(cluster);
  REQUIRE(stream.run_to_end({"--create-slot"}).ok());
  CHECK(stream.run({"--recreate-slot"}).err.find("is in order") != std::string::npos);
  reset_wal(cluster);
  cluster.execute("INSERT INTO fox VALUES (1)");
  REQUIRE(cluster.scalar("SELECT wal_status FROM pg_replication_slots") == "reserved");
  check_refused(stream.run(), 3, "has already been removed");
  SECTION("to who re-creates it") {
    const Result made = stream.run({"--recreate-slot"});
    INFO(made.err);
    CHECK(made.ok());
    CHECK(stream.run_to_end().ok());
  }
  SECTION("to who is to replace it") {
    const Process process = stream.start({"--on-lost-slot", "replace"});
    const auto is_streaming = [&] {
      return process.err().find("INFO deltastream: streaming from slot") != std::string::npos &&
             process.err().find("wrote a gap") != std::string::npos;
    };
    CHECK(support::eventually(is_streaming));
    cluster.execute("INSERT INTO fox VALUES (2)");
    CHECK(support::eventually([&] { return stream.lines("\tinsert\t").size() == 1; }));
  }
}

TEST_CASE("refusal: a server that does not know its own history", "[streamer]") {
  Cluster cluster;
  const Stream stream(cluster);
  REQUIRE(stream.run_to_end({"--create-slot"}).ok());
  reset_wal(cluster, {"-l", "000000020000000000000020"});
  check_refused(stream.run(), 3, "diverged: the server is on timeline 2");
}

// PostgreSQL forgets what was confirmed since its last checkpoint. What it sends of that once more
// is filtered as the stream is now.
TEST_CASE("refusal: none where rows are filtered away that were streamed before", "[streamer]") {
  Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY); CREATE TABLE hen (a int PRIMARY KEY)");
  const Stream stream(cluster);
  const bool narrower = GENERATE(true, false);
  CAPTURE(narrower);
  const std::vector<std::string> one = {"--tables", "fox"};
  const std::vector<std::string> both = {"--tables", "fox,hen"};
  std::vector<std::string> first = narrower ? both : one;
  first.push_back("--create-slot");
  REQUIRE(stream.run_to_end(first).ok());
  cluster.execute("CHECKPOINT");
  cluster.execute("INSERT INTO hen VALUES (1); INSERT INTO fox VALUES (1)");
  cluster.execute("INSERT INTO hen VALUES (2)");
  REQUIRE(stream.run_to_end(narrower ? both : one).ok());
  REQUIRE(stream.run_to_end(narrower ? one : both).ok());
  cluster.kill9();
  cluster.start();
  cluster.execute("INSERT INTO fox VALUES (2)");
  const support::Result after = stream.run_to_end(narrower ? one : both);
  INFO(after.err);
  CHECK(after.ok());
}

// Not a refusal: it may be promoted any time, or the name lead to the primary again.
TEST_CASE("refusal: a standby is said to be one, and waited for until it is none", "[streamer]") {
  const Cluster primary;
  Cluster::Options options;
  options.standby_of = &primary;
  Cluster standby(options);
  const Stream stream(standby);
  Process process = stream.start({"--create-slot"});
  REQUIRE(support::eventually([&] { return contains(process.err(), "this server is a standby"); }));
  CHECK(process.running());
  CHECK(!stream.exists());
  standby.promote();
  CHECK(streaming(process));
}

TEST_CASE("refusal: a promoted standby that lacks what was streamed", "[streamer]") {
  Cluster primary;
  primary.execute("CREATE TABLE fox (a int PRIMARY KEY)");
  const Stream stream(primary);
  Cluster::Options options;
  options.standby_of = &primary;
  Cluster standby(options);
  const auto replayed = [&] {
    return standby.scalar("SELECT pg_last_wal_replay_lsn() >= '" +
                          primary.scalar("SELECT pg_current_wal_lsn()") + "'") == "t";
  };
  REQUIRE(support::eventually(replayed));
  standby.stop();
  REQUIRE(stream.run_to_end({"--create-slot"}).ok());
  primary.execute("INSERT INTO fox SELECT generate_series(1, 10000)");
  REQUIRE(stream.run_to_end().ok());
  primary.kill9();
  standby.start();
  standby.promote();
  // Long enough a history for its WAL to be past our end again: only the timeline tells.
  standby.execute("SELECT pg_create_logical_replication_slot('stream', 'deltaflood')");
  const std::string ours = stream.commit_lsns().back();
  while (standby.scalar("SELECT pg_current_wal_lsn() > '" + ours + "'") != "t") {
    standby.execute("SELECT pg_switch_wal()");
    standby.execute("CHECKPOINT");
  }
  check_refused(support::run({support::program("deltastream"), "-d", standby.conninfo(), "-S",
                              "stream", "-D", stream.directory().string()}),
                3, "diverged: the server left timeline 1 at");
}

TEST_CASE("refusal: lines without commit lines on standard input", "[streamer][stdin]") {
  const support::TempDir temp;
  const std::string directory = (temp / "daystream").string();
  const std::string one = "_table\tfox\t_xid\t7\t_action\tinsert\ta\t1\n";
  const std::string two = "_table\tfox\t_xid\t8\t_action\tinsert\ta\t2\n";
  for (const std::string& input : {one, one + two}) {
    const Result result = run_program({"--stdin", "-D", directory}, input);
    check_refused(result, 2, "the input has no commit lines");
    CHECK_FALSE(std::filesystem::exists(directory));
  }
}

TEST_CASE("refusal: what is none of our lines on standard input is for a person",
          "[streamer][stdin]") {
  const support::TempDir temp;
  const std::string directory = (temp / "daystream").string();
  for (const std::string input :
       {"BEGIN 741\ntable public.fox: INSERT: a[integer]:1\nCOMMIT 741\n",
        "_table\tfox\t_xid\tseven\t_action\tinsert\n", "_table\tfox\t_xid\t7\t_action\n"}) {
    check_refused(run_program({"--stdin", "-D", directory}, input), 3, "line");
    CHECK_FALSE(std::filesystem::exists(directory));
  }
}

TEST_CASE("refusal: a directory filled from a pipe is not a slot's, nor the other way",
          "[streamer][stdin]") {
  const Cluster& cluster = shared();
  const Stream stream(cluster, "piped");
  const std::string input =
      "_table\tfox\t_xid\t7\t_action\tinsert\ta\t1\n"
      "_xid\t7\t_lsn\t0/1000\t_next\t8\t_time\t1795300024.327683\t_action\tcommit\n";
  REQUIRE(run_program({"--stdin", "-D", stream.directory().string()}, input).ok());
  check_refused(stream.run(), 3, "was read from a pipe");

  const Cluster own;
  const Stream slotted(own);
  REQUIRE(slotted.run_to_end({"--create-slot"}).ok());
  check_refused(run_program({"--stdin", "-D", slotted.directory().string()}, input), 3,
                slotted.directory().string());
}
