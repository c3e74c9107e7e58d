// What is looked at before the first start: seed --check, config check, and what columns become.
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "pipeline.h"

using support::eventually;
using support::Exit;
using support::Process;
using support::program;
using support::Result;
using support::run;

namespace {

constexpr const char* kTables =
    "CREATE TABLE fox (id int PRIMARY KEY, total numeric(12,2), huge numeric, at timestamptz);"
    "CREATE ROLE reader LOGIN";

std::string conninfo_of(const Pipeline& s, const std::string& user) {
  return "host=" + s.cluster.socket_dir() + " dbname=postgres user=" + user;
}

}  // namespace

TEST_CASE("seed --check: is green before the first start, and tells what columns become",
          "[mirror][check]") {
  Pipeline s;
  s.cluster.execute(kTables);
  const auto check = [&](std::vector<std::string> more) {
    more.insert(more.begin(), "--check");
    return s.seed(more);
  };
  const Result early = check({"--table", "fox"});
  CAPTURE(early.out, early.err);
  CHECK(early.ok());
  CHECK_THAT(early.out, Catch::Contains("warning daystream"));
  CHECK_THAT(early.out, Catch::Matches("(.|\n)*total +numeric\\(12,2\\) +REAL\n(.|\n)*"));
  CHECK_THAT(early.out, Catch::Matches("(.|\n)*huge_num +\"huge\" as a number +REAL.*\n(.|\n)*"));
  CHECK_FALSE(std::filesystem::exists(s.mirror()));
  CHECK_FALSE(std::filesystem::exists(s.mirror() + ".lock"));

  const Result json = check({"--table", "fox", "--json"});
  CHECK(json.ok());
  CHECK_THAT(json.out, Catch::Contains(R"x({"check":"column","result":"ok","table":"fox",)x"
                                       R"x("column":"total","postgres_type":"numeric(12,2)",)x"
                                       R"x("sqlite_type":"REAL"})x"));

  s.start_stream("fox");
  CHECK_THAT(check({"--table", "fox"}).out, Catch::Contains("ok      daystream"));
  // All that is wrong is said at once, each with what to do.
  s.cluster.execute("CREATE TABLE hen (id int PRIMARY KEY); CREATE TABLE keyless (a int)");
  const Result wrong = check({"--table", "fox", "--table", "hen", "--table", "keyless"});
  CHECK(wrong.exit == Exit{3, 0});
  CHECK_THAT(wrong.out, Catch::Contains("ok      table      \"fox\"") &&
                            Catch::Contains("FAILED  table      \"hen\" cannot be copied") &&
                            Catch::Contains("FAILED  table      \"keyless\" cannot be copied") &&
                            Catch::Contains("HINT: "));
}

TEST_CASE("config check: tells the missing GRANT, and SQL that does not compile",
          "[mirror][check]") {
  Pipeline s;
  s.cluster.execute(kTables);
  const std::string file = s.dir / "mirror.json";
  const auto check = [&](const std::string& text, const std::string& user) {
    std::ofstream(file) << text;
    return run({program("deltamirror"), "config", "check", file, "-d", conninfo_of(s, user)});
  };
  const Result denied = check(R"({"tables": [{"table": "fox"}]})", "reader");
  CAPTURE(denied.out, denied.err);
  CHECK(denied.exit == Exit{3, 0});
  CHECK_THAT(denied.out, Catch::Contains("HINT: GRANT SELECT ON fox TO \"reader\""));
  // A right to some columns is one to these only.
  s.cluster.execute("GRANT SELECT (id) ON fox TO reader");
  const Result some = check(R"({"tables": [{"table": "fox"}]})", "reader");
  CHECK(some.exit == Exit{3, 0});
  CHECK_THAT(some.out, Catch::Contains("role \"reader\" may not read columns") &&
                           Catch::Contains("HINT: GRANT SELECT (") &&
                           Catch::Contains("ON \"public\".\"fox\" TO reader"));
  CHECK(check(R"({"tables": [{"table": "fox", "columns": ["id"]}]})", "reader").ok());
  const Result query =
      check(R"({"tables": [{"query": "SELECT * FROM fox", "as": "f"}]})", "reader");
  CHECK(query.exit == Exit{3, 0});
  CHECK_THAT(query.out, Catch::Contains("permission denied for table fox"));
  s.cluster.execute("GRANT SELECT ON fox TO reader");
  const Result right = check(
      R"({"tables": [{"table": "fox"}], "extra_sql": ["CREATE VIEW big AS SELECT * FROM fox"]})",
      "reader");
  CHECK(right.ok());
  CHECK_THAT(right.out, Catch::Contains("1 extra statement"));
  const Result odd = check(
      R"({"tables": [{"table": "fox"}], "extra_sql": ["CREATE VIEW big AS SELEKT 1"]})", "reader");
  CHECK(odd.exit == Exit{2, 0});
  std::ofstream(file) << R"({"tables": [{"tabel": "fox"}]})";
  const Result lines = run({program("deltamirror"), "config", "check", file, "--json"});
  CHECK(lines.exit == Exit{2, 0});
  CHECK_THAT(lines.out, Catch::StartsWith(R"({"check":"configuration","result":"failed",)"));
  CHECK_THAT(odd.out, Catch::Contains("extra_sql[0]: SQLite: near \"SELEKT\": syntax error"));
}

TEST_CASE("wait: says that it was stopped", "[mirror][check]") {
  Pipeline s;
  s.cluster.execute(kTables);
  s.start_stream();
  REQUIRE(s.seed({"--table", "fox"}).ok());
  Process waiting({program("deltamirror"), "wait", s.mirror(), "--lsn", "FF/0"});
  // Its handlers are there once it sleeps on the mirror's files.
  REQUIRE(eventually([&] {
    return run({"ls", "-l", "/proc/" + std::to_string(waiting.pid()) + "/fd"})
               .out.find("inotify") != std::string::npos;
  }));
  waiting.signal(SIGINT);
  CHECK(waiting.wait() == Exit{1, 0});
  CHECK_THAT(waiting.err(), Catch::Contains("stopped before mirror") && Catch::Contains("HINT: "));
}

TEST_CASE("doctor: all is well, and what is not is said with what to do", "[mirror][check]") {
  Pipeline s;
  s.cluster.execute(kTables);
  s.start_stream();
  REQUIRE(s.seed({"--table", "fox"}).ok());
  const auto doctor = [&] {
    return run(
        {program("deltamirror"), "doctor", s.mirror(), "-d", s.cluster.conninfo(), "--deep"});
  };
  const Result idle = doctor();
  CAPTURE(idle.out);
  CHECK(idle.exit == Exit{1, 0});
  CHECK_THAT(idle.out, Catch::Contains("FAILED  owner") && Catch::Contains("HINT: start"));
  s.start_run();
  REQUIRE(eventually([&] { return doctor().ok(); }));
  const Result well = doctor();
  for (const char* what : {"file", "owner", "source", "stream", "streamer", "server", "slot"}) {
    CHECK_THAT(well.out, Catch::Contains(std::string("ok      ") + what));
  }
  const Result list = run({program("deltamirror"), "list", "-d", s.cluster.conninfo()});
  CHECK(list.ok());
  CHECK_THAT(list.out, Catch::Contains("slot  mirror  database postgres") &&
                           Catch::Contains("read by process") && Catch::Contains("of daystream "));
  s.runner->signal(SIGSTOP);
  const Result hung = doctor();
  s.runner->signal(SIGCONT);
  CHECK(hung.exit == Exit{1, 0});
  CHECK_THAT(hung.out, Catch::Contains("FAILED  owner") && Catch::Contains("it hangs"));
  s.streamer->signal(SIGTERM);
  s.streamer->wait();
  const Result stopped = doctor();
  CHECK(stopped.exit == Exit{1, 0});
  CHECK_THAT(stopped.out, Catch::Contains("FAILED  streamer   deltastream is stopped") &&
                              Catch::Contains("FAILED  slot       nobody reads"));
  const Result machine =
      run({program("deltamirror"), "doctor", s.mirror(), "-d", s.cluster.conninfo(), "--json"});
  CHECK(machine.exit == stopped.exit);
  CHECK_THAT(machine.out,
             Catch::Contains(R"({"check":"file","result":"ok","detail":")") &&
                 Catch::Contains(
                     R"({"check":"streamer","result":"failed","detail":"deltastream is stopped)"));
}

TEST_CASE("run: a stream that ends before the mirror is said, and waited for", "[mirror][check]") {
  namespace fs = std::filesystem;
  Pipeline s;
  s.cluster.execute(kTables);
  s.start_stream();
  REQUIRE(s.seed({"--table", "fox"}).ok());
  s.cluster.execute("INSERT INTO fox(id) VALUES (1)");
  REQUIRE(s.run_once().ok());
  const fs::path behind = s.dir / "behind";
  fs::copy(s.stream(), behind);
  s.cluster.execute("INSERT INTO fox(id) VALUES (2)");
  REQUIRE(s.run_once().ok());
  const auto mirror = [&](const std::string& verb, std::vector<std::string> more) {
    more.insert(more.begin(), {program("deltamirror"), verb, s.mirror()});
    return more;
  };
  const Result once = run(mirror("run", {"--once", "--daystream", behind}));
  CHECK(once.exit == Exit{1, 0});
  CHECK_THAT(once.err, Catch::Contains("ends at") && Catch::Contains("HINT: "));
  const Result restored = run({program("deltamirror"), "restore", s.dir / "was.db", "--snapshot",
                               s.mirror(), "--daystream", behind, "--to", "latest"});
  CHECK(restored.exit == Exit{1, 0});
  CHECK_THAT(restored.err, Catch::Contains("ends at"));
  CHECK_THAT(run(mirror("doctor", {"--daystream", behind})).out,
             Catch::Contains("FAILED  stream ") && Catch::Contains("ends at"));

  Process waits(mirror("run", {"--daystream", behind}));
  const auto status = [&] { return run(mirror("status", {"--json"})); };
  const auto state = [&] { return nlohmann::json::parse(status().out); };
  REQUIRE(eventually([&] { return state()["state"] == "waiting"; }));
  const std::string since = state()["last_error_at"];
  CHECK_THAT(state()["trouble"].dump(), Catch::Contains("is waiting since " + since));
  CHECK(status().exit == Exit{1, 0});
  std::this_thread::sleep_for(std::chrono::seconds(3));  // it looks again each second
  CHECK(state()["last_error_at"] == since);
  // It is a relay that was behind.
  for (const bool durable : {false, true}) {
    for (const auto& entry : fs::directory_iterator(s.stream())) {
      if ((entry.path().filename() == "durable") != durable || entry.is_directory()) continue;
      fs::copy_file(entry.path(), behind / entry.path().filename(),
                    fs::copy_options::overwrite_existing);
    }
  }
  CHECK(eventually([&] { return status().ok(); }));
  CHECK(state()["last_error"].is_null());
}

TEST_CASE("status: the error of a copy goes with the copy that is made", "[mirror][check]") {
  Pipeline s;
  s.cluster.execute(kTables);
  s.start_stream();
  REQUIRE(s.seed({"--table", "fox"}).ok());
  s.start_run();
  s.catch_up();
  const auto last_error = [&] {
    const Result status = run({program("deltamirror"), "status", s.mirror(), "--json"});
    return nlohmann::json::parse(status.out)["last_error"];
  };
  s.cluster.execute("CREATE TABLE hen (id int PRIMARY KEY)");
  CHECK_FALSE(s.seed({"--table", "hen", "-d", conninfo_of(s, "reader")}).ok());
  CHECK(eventually([&] { return last_error().is_string(); }));
  REQUIRE(s.seed({"--table", "hen"}).ok());
  CHECK(eventually([&] { return last_error().is_null(); }));
}

TEST_CASE("verify --sample: looks at some rows of a table, however small", "[mirror][check]") {
  Pipeline s;
  s.cluster.execute(
      "CREATE TABLE small (id text PRIMARY KEY); INSERT INTO small VALUES ('a'), ('b');"
      "ANALYZE small");
  s.start_stream();
  REQUIRE(s.seed({"--table", "small"}).ok());
  const Result sample = run({program("deltamirror"), "verify", s.mirror(), "-d",
                             s.cluster.conninfo(), "--daystream", s.stream(), "--sample", "0.01%"});
  CAPTURE(sample.out);
  CHECK(sample.ok());
  CHECK_THAT(sample.out, Catch::Contains("small: 2 rows of a sample"));
}
