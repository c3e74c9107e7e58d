// Making and dropping slots, --check, status, configuration.
#include <signal.h>

#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "stream.h"

using deltastream_test::contains;
using deltastream_test::Stream;
using deltastream_test::streaming;
using support::Cluster;
using support::Exit;
using support::Process;
using support::Result;

TEST_CASE("slot: made, found and dropped", "[streamer]") {
  const Cluster cluster;
  const auto run = [&](const std::vector<std::string>& more) {
    std::vector<std::string> argv = {support::program("deltastream"), "-d", cluster.conninfo(),
                                     "-S", "s"};
    argv.insert(argv.end(), more.begin(), more.end());
    return support::run(argv);
  };
  CHECK(run({"--create-slot"}).ok());
  CHECK(cluster.scalar("SELECT plugin FROM pg_replication_slots WHERE slot_name = 's'") ==
        "deltaflood");
  const Result again = run({"--create-slot"});
  CHECK(again.exit == Exit{3, 0});
  CHECK(contains(again.err, "replication slot \"s\" already exists"));
  CHECK(run({"--create-slot", "--if-not-exists"}).ok());
  {
    const Stream user(cluster, "s");
    Process process = user.start();
    REQUIRE(streaming(process));
    const Result used = run({"--drop-slot"});
    CHECK(used.exit == Exit{1, 0});
    CHECK(contains(used.err, "replication slot \"s\" is in use by process"));
    process.signal(SIGTERM);
    CHECK(process.wait() == Exit{0, 0});
  }
  CHECK(run({"--drop-slot"}).ok());
  CHECK(cluster.scalar("SELECT count(*) FROM pg_replication_slots") == "0");
  const Result gone = run({"--drop-slot"});
  CHECK(gone.exit == Exit{3, 0});
  CHECK(contains(gone.err, "replication slot \"s\" does not exist"));
}

TEST_CASE("slot: waiting for an old transaction ends after --create-timeout, naming it",
          "[streamer]") {
  const Cluster cluster({.config = {"max_prepared_transactions = 5"}});
  cluster.execute("CREATE TABLE fox (a int)");
  support::Session old = cluster.session();
  old.execute("BEGIN; INSERT INTO fox VALUES (1)");
  const Stream stream(cluster);
  const Result result = stream.run({"--create-slot", "--create-timeout", "1"});
  CHECK(result.exit == Exit{3, 0});
  CHECK(contains(result.err, "still waiting for transaction " +
                                 old.scalar("SELECT pg_current_xact_id()::xid") + " of process " +
                                 std::to_string(old.backend_pid())));
  old.execute("COMMIT; BEGIN; INSERT INTO fox VALUES (2); PREPARE TRANSACTION 'it''s later'");
  const Result prepared = stream.run({"--create-slot", "--create-timeout", "1"});
  CHECK(prepared.exit == Exit{3, 0});
  CHECK(contains(prepared.err, "still waiting for prepared transaction 'it''s later', user "));
  CHECK(contains(prepared.err, "ROLLBACK PREPARED"));
  old.execute("ROLLBACK PREPARED 'it''s later'");
  CHECK(cluster.scalar("SELECT count(*) FROM pg_replication_slots") == "0");
  CHECK_FALSE(stream.exists());
}

TEST_CASE("check: says what is right, and what is not with what to do", "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  const Result missing = stream.run({"--check"});
  CHECK(missing.exit == Exit{3, 0});
  CHECK(contains(missing.out, "FAILED  slot"));
  CHECK(contains(missing.out, "HINT: "));
  CHECK_FALSE(stream.exists());
  // Of the first start, which makes the slot.
  const Result first = stream.run({"--check", "--create-slot"});
  CAPTURE(first.out);
  CHECK(first.ok());
  CHECK(contains(first.out, "will be made"));
  CHECK(contains(first.out, "ok      room"));
  CHECK(contains(first.out, "ok      clock"));
  CHECK(cluster.scalar("SELECT count(*) FROM pg_replication_slots") == "0");
  CHECK_FALSE(stream.exists());

  REQUIRE(stream.run_to_end({"--create-slot"}).ok());
  const Result right = stream.run({"--check"});
  CAPTURE(right.out);
  CHECK(right.ok());
  CHECK(contains(right.out, "ok      position"));

  std::map<std::string, std::string> results;
  std::istringstream lines(stream.run({"--check", "--json"}).out);
  for (std::string line; std::getline(lines, line);) {
    const auto check = nlohmann::json::parse(line);
    CHECK(check.size() == 4);
    results[check["check"]] = check["result"];
  }
  CHECK(results["position"] == "ok");

  Process process = stream.start();  // and beside a running one
  REQUIRE(streaming(process));
  CHECK(contains(stream.run({"--check"}).out, "in use by process"));
}

TEST_CASE("check: where a role does not see which plugins are allowed, it tries", "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  cluster.execute("CREATE ROLE plain LOGIN REPLICATION");
  const support::Texts check = {"--check", "--create-slot", "-d",
                                cluster.conninfo("postgres", "plain")};
  const Result right = stream.run(check);
  CAPTURE(right.out, right.err);
  CHECK(right.ok());
  CHECK(contains(right.out, "a slot of plugin \"deltaflood\" can be made"));
  CHECK(cluster.scalar("SELECT count(*) FROM pg_replication_slots") == "0");
  cluster.execute("ALTER SYSTEM SET output_plugin_libraries = 'pgoutput'");
  cluster.execute("SELECT pg_reload_conf()");
  REQUIRE(support::eventually([&] { return stream.run(check).exit == Exit{3, 0}; }));
  const Result refused = stream.run(check);
  CHECK(contains(refused.out, "FAILED  settings"));
  CHECK(contains(refused.out, "may not be used as an output plugin"));
  CHECK(contains(refused.out, "HINT: as a superuser: ALTER SYSTEM SET output_plugin_libraries"));
}

TEST_CASE("metrics file: one that cannot be written is said, and why", "[streamer]") {
  const Cluster cluster;
  const Stream stream(cluster);
  const std::string nowhere = (stream.directory().parent_path() / "none" / "m.prom").string();
  const Result checked = stream.run({"--check", "--create-slot", "--metrics-file", nowhere});
  CHECK(checked.exit == Exit{2, 0});
  CHECK(contains(checked.out, "FAILED  metrics    metrics file \"" + nowhere + "\": there is no "));
  CHECK(contains(checked.out, "HINT: name a file in a folder"));
  const std::string odd = (stream.directory().parent_path() / "metrics").string();
  CHECK(contains(stream.run({"--check", "--create-slot", "--metrics-file", odd}).out,
                 "its name does not end in .prom"));

  const Result started = stream.run_to_end({"--create-slot", "--metrics-file", nowhere});
  CHECK(started.ok());
  CHECK(contains(started.err, "could not replace metrics file \"" + nowhere + "\": could not "));
  CHECK(contains(started.err, "No such file or directory; HINT: "));
  const Result named = stream.run_to_end({"--metrics-file", odd});
  CHECK(contains(named.err, "its name does not end in .prom; HINT: "));
  CHECK(std::filesystem::exists(odd));
}

TEST_CASE("configuration: a file says what flags say, SIGHUP reads it again", "[streamer]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY); CREATE TABLE hen (a int PRIMARY KEY)");
  const Stream stream(cluster);
  stream.create_slot();
  const support::TempDir temp;
  const std::string file = (temp / "deltastream.json").string();
  const auto configure = [&](const std::string& tables) {
    nlohmann::json json = {{"dbname", cluster.conninfo()},
                           {"slot", stream.slot()},
                           {"directory", stream.directory().string()},
                           {"option", {{"actions", "insert"}}},
                           {"status-interval", 1},
                           {"tables", tables}};
    support::write_file(file, json.dump());
  };
  configure("fox");
  Process process({support::program("deltastream"), "--config", file, "--log-format", "json"});
  REQUIRE(streaming(process));
  const std::string first = process.err().substr(0, process.err().find('\n'));
  CHECK(nlohmann::json::parse(first)["level"] == "INFO");
  cluster.execute("INSERT INTO fox VALUES (1); INSERT INTO hen VALUES (1); DELETE FROM fox");
  REQUIRE(stream.caught_up());
  CHECK(stream.lines("_action\tinsert").size() == 1);
  CHECK(stream.lines("_action\tdelete").empty());

  support::write_file(file, "{");
  process.signal(SIGHUP);
  CHECK(support::eventually([&] { return contains(process.err(), "kept the old configuration"); }));

  configure("fox,hen");
  process.signal(SIGHUP);
  const auto holds = [&] { return !stream.lines("_action\tmark\ttables\tfox,hen").empty(); };
  REQUIRE(support::eventually(holds));
  cluster.execute("INSERT INTO hen VALUES (2)");
  REQUIRE(stream.caught_up());
  CHECK(stream.lines("_table\then").size() >= 1);
}

TEST_CASE("stdin: pg_recvlogical's output becomes a daystream", "[streamer][stdin]") {
  const Cluster cluster;
  cluster.execute("CREATE TABLE fox (a int PRIMARY KEY)");
  const Stream stream(cluster);
  stream.create_slot();
  cluster.execute("INSERT INTO fox VALUES (1)");
  cluster.execute("INSERT INTO fox VALUES (2)");
  const std::string lsn = cluster.scalar("SELECT pg_current_wal_lsn()");
  const std::string text = cluster.run_tool(
      "pg_recvlogical", {"-d", cluster.conninfo(), "-S", stream.slot(), "--start", "-n", "-E", lsn,
                         "-o", "include-transaction", "-o", "include-schema", "-f", "-"});
  const auto feed = [&](const std::string& input) {
    Process::Options options;
    options.input = input;
    return support::run(
        {support::program("deltastream"), "--stdin", "-D", stream.directory().string()}, options);
  };
  const Result result = feed(text);
  CAPTURE(result.err);
  REQUIRE(result.ok());
  CHECK(stream.lines("_action\tinsert").size() == 2);
  CHECK(contains(stream.text().substr(0, stream.text().find('\n')), "_lsn\t0/0\t"));
  deltastream_test::check_sound(stream);

  // What comes again is skipped, half a line dropped, half a transaction given up.
  const Result again = feed(text + "_table\tfox\t_xid\t99\t_action\tinsert\ta\t3\n_table\tfo");
  REQUIRE(again.ok());
  CHECK(contains(again.err, "half a line"));
  CHECK(contains(again.err, "inside a transaction"));
  deltastream_test::check_sound(stream);
  CHECK(stream.commit_lsns().size() == 2);
}
