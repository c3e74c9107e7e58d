// What is looked at before the first start: seed --check, config check, and what columns become.
#include <sys/stat.h>

#include <algorithm>
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
  CHECK_THAT(denied.out,
             Catch::Contains("HINT: as its owner: GRANT SELECT ON \"public\".\"fox\" TO "
                             "\"reader\";"));
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
  // What the mirror keeps is not the configuration's to change.
  const Result drops =
      check(R"({"tables": [{"table": "fox"}], "extra_sql": ["DROP TABLE fox"]})", "reader");
  CHECK(drops.exit == Exit{2, 0});
  CHECK_THAT(drops.out, Catch::Contains("extra_sql[0] removes table \"fox\""));
  std::ofstream(file) << R"({"tables": [{"tabel": "fox"}]})";
  const Result lines = run({program("deltamirror"), "config", "check", file, "--json"});
  CHECK(lines.exit == Exit{2, 0});
  CHECK_THAT(lines.out, Catch::StartsWith(R"({"check":"configuration","result":"failed",)"));
  CHECK_THAT(odd.out, Catch::Contains("extra_sql[0]: SQLite: near \"SELEKT\": syntax error"));
}

TEST_CASE("config check: names each missing GRANT, whatever else is wrong", "[mirror][check]") {
  Pipeline s;
  s.cluster.execute(kTables);
  s.cluster.execute("CREATE TABLE hen(id int PRIMARY KEY)");
  const std::string file = s.dir / "mirror.json";
  std::ofstream(file) << R"({"tables": [{"table": "fox"}, {"table": "nope"}, {"table": "hen"}],
    "extra_sql": ["CREATE VIEW v AS SELECT nope FROM fox"]})";
  const Result result =
      run({program("deltamirror"), "config", "check", file, "-d", conninfo_of(s, "reader")});
  CAPTURE(result.out, result.err);
  CHECK(result.exit == Exit{2, 0});
  CHECK_THAT(result.out, Catch::Contains("\"public.nope\" does not exist") &&
                             Catch::Contains("GRANT SELECT ON \"public\".\"fox\" TO") &&
                             Catch::Contains("GRANT SELECT ON \"public\".\"hen\" TO"));
  const Result alone = run({program("deltamirror"), "config", "check", file});
  CHECK(alone.ok());
  CHECK_THAT(alone.err,
             Catch::Contains("extra_sql is not looked at") && Catch::Contains("give -d"));
}

TEST_CASE("config check: a pipe that nobody writes, and a file that is not there",
          "[mirror][check]") {
  const support::TempDir dir;
  const std::string pipe = dir / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  const auto check = [](const std::string& file) {
    return run({program("deltamirror"), "config", "check", file});
  };
  const Result nobody = check(pipe);
  CHECK(nobody.exit == Exit{2, 0});
  CHECK_THAT(nobody.err, Catch::Contains("it is a pipe, and nobody writes to it"));
  const Result gone = check(dir / "nothing");
  CHECK(gone.exit == Exit{2, 0});
  CHECK_THAT(gone.err, Catch::Contains("No such file or directory") && Catch::Contains("HINT: "));
}

TEST_CASE("doctor: tells the right that a copy would miss", "[mirror][check]") {
  Pipeline s;
  s.cluster.execute(kTables);
  s.start_stream();
  REQUIRE(s.seed({"--table", "fox"}).ok());
  const auto doctor = [&] {
    return run({program("deltamirror"), "doctor", s.mirror(), "-d", conninfo_of(s, "reader")}).out;
  };
  CHECK_THAT(doctor(), Catch::Contains("FAILED  rights     \"fox\" cannot be copied") &&
                           Catch::Contains("GRANT SELECT ON"));
  s.cluster.execute("GRANT SELECT ON fox TO reader");
  CHECK_THAT(doctor(), Catch::Contains("ok      rights"));
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
  // What "status" calls trouble is none here only where nobody looks.
  for (const char* const end : {".commands.json", ".config.json"}) {
    const std::string file = s.mirror() + end;
    std::ofstream(file) << "{";
    const Result damaged = doctor();
    std::filesystem::remove(file);
    CHECK(damaged.exit.code != 0);
    CHECK_THAT(damaged.out,
               Catch::Contains(end + std::string("\" is damaged: ")) && Catch::Contains("HINT: "));
  }
  const Result timed =
      run({program("deltamirror"), "wait", s.mirror(), "--time", "now", "--timeout", "30 s"});
  CHECK(timed.ok());
  const Result bad =
      run({program("deltamirror"), "wait", s.mirror(), "--time", "now", "--timeout", "soon"});
  CHECK_THAT(bad.err, Catch::Contains("invalid --timeout \"soon\": write it like 5, 500ms, 30 s"));
  CHECK(run({program("deltamirror"), "wait", s.mirror(), "--lsn", "FFFFFF/0", "--timeout", "20ms"})
            .exit.code == 1);
  const Result turned = run({program("deltamirror"), s.mirror(), "status"});
  CHECK_THAT(turned.err, Catch::Contains("\" belongs after \"status\"\n"));
  const Result quoted = run({program("deltamirror"), "reseed", s.mirror(), "--table", "\"Fox\""});
  CHECK_THAT(quoted.err, Catch::Contains("the mirror has no table \"Fox\"\n"));
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
  // It is one of this host, and stays here.
  const std::string copy = s.dir / "copy.db";
  REQUIRE(run({program("deltamirror"), "snapshot", s.mirror(), copy}).ok());
  const Result of_copy = run({program("deltamirror"), "status", copy, "--json"});
  CHECK(nlohmann::json::parse(of_copy.out)["last_error"].is_null());
  REQUIRE(s.seed({"--table", "hen"}).ok());
  CHECK(eventually([&] { return last_error().is_null(); }));
}

TEST_CASE("seed: who adds a table where nobody writes the stream hears of it, and may leave",
          "[mirror][check]") {
  Pipeline s;
  s.cluster.execute(kTables);
  s.start_stream();
  REQUIRE(s.seed({"--table", "fox"}).ok());
  s.start_run();
  s.catch_up();
  s.streamer->signal(SIGSTOP);
  s.cluster.execute("CREATE TABLE hen (id int PRIMARY KEY); INSERT INTO hen VALUES (1)");
  Process seed(
      {program("deltamirror"), "seed", s.mirror(), "-d", s.cluster.conninfo(), "--table", "hen"});
  CHECK(eventually([&] {
    return seed.err().find("the copy of hen waits until the mirror is at ") != std::string::npos;
  }));
  CHECK(seed.err().find("; HINT: it is at ") != std::string::npos);
  seed.signal(SIGINT);
  CHECK(seed.wait(std::chrono::seconds(10)) == Exit{1, 0});
  s.streamer->signal(SIGCONT);
  CHECK(run({program("deltamirror"), "wait", s.mirror(), "--table", "hen", "--time", "now"}).ok());
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

TEST_CASE("seed --check: what it finds has the exit code that a seed ends with",
          "[mirror][check]") {
  Pipeline s;
  s.cluster.execute(std::string(kTables) + "; CREATE TABLE keyless (a int)");
  s.start_stream();
  const auto codes = [&](const std::string& user, const std::string& table) {
    std::vector<std::string> argv = {
        program("deltamirror"), "seed",     s.mirror(), "-d", conninfo_of(s, user),
        "--daystream",          s.stream(), "--table",  table};
    const Result seed = run(argv);
    argv.push_back("--check");
    const Result check = run(argv);
    CAPTURE(seed.err, check.out);
    CHECK(seed.err.find("\nHINT: ") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(s.mirror()));
    return std::pair(seed.exit.code, check.exit.code);
  };
  using Codes = std::pair<int, int>;
  CHECK(codes("reader", "fox") == Codes{3, 3});
  CHECK(codes("postgres", "keyless") == Codes{3, 3});
  CHECK(codes("postgres", "nowhere") == Codes{2, 2});
  // Of several things that are missing the one that needs a person counts.
  const Result both =
      run({program("deltamirror"), "seed", s.mirror(), "-d", conninfo_of(s, "reader"),
           "--daystream", s.stream(), "--table", "nowhere", "--table", "fox", "--check"});
  CHECK(both.exit.code == 3);
}

TEST_CASE("many tables: what is read of the catalog grows as their number does",
          "[mirror][check]") {
  using Words = std::vector<std::string>;
  // Rows that the server reads for each of four commands, in a database of so many tables.
  const auto rows_read = [](int tables) {
    Pipeline s;
    s.cluster.execute("CREATE TYPE mood AS ENUM ('good', 'bad')");
    for (int first = 0; first < tables; first += 20) {
      s.cluster.execute(
          "DO $$ BEGIN FOR i IN " + std::to_string(first) + ".." + std::to_string(first + 19) +
          " LOOP EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, m mood, n numeric(9,2), "
          "a int[])', i); EXECUTE format('INSERT INTO t%s VALUES (1)', i); END LOOP; END $$");
    }
    s.cluster.execute("ANALYZE");
    s.start_stream();
    const std::string file = s.dir / "many.json";
    const std::string at = s.cluster.conninfo();
    const auto cost = [&](const Words& arguments) {
      const auto read = [&] {
        REQUIRE(eventually([&] {
          return s.cluster.scalar(
                     "SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                     "'deltamirror'",
                     "template1") == "0";
        }));
        return std::stoll(s.cluster.scalar(
            "SELECT tup_returned FROM pg_stat_database WHERE datname = 'postgres'", "template1"));
      };
      Words argv = {program("deltamirror")};
      argv.insert(argv.end(), arguments.begin(), arguments.end());
      argv.insert(argv.end(), {"-d", at});
      const auto before = read();
      const Result result = run(argv);
      CAPTURE(argv, result.err);
      REQUIRE(result.ok());
      if (arguments[1] == "init") std::ofstream(file) << result.out;
      return static_cast<double>(read() - before);
    };
    const Words seed = {"seed", s.mirror(), "--daystream", s.stream(), "--config", file};
    std::vector<double> costs = {cost({"config", "init"}), cost({"config", "check", file})};
    costs.push_back(cost(seed));
    costs.push_back(cost({"verify", s.mirror(), "--daystream", s.stream(), "--sample", "1%"}));
    return costs;
  };
  const std::vector<double> few = rows_read(100);
  const std::vector<double> many = rows_read(300);
  for (std::size_t i = 0; i < few.size(); ++i) {
    CAPTURE(i, few[i], many[i]);
    CHECK(few[i] > 100);
    CHECK(many[i] < 3.6 * few[i]);
  }
}

TEST_CASE("many tables: the catalog is asked as often as for few", "[mirror][check]") {
  // What the server is asked with parameters by a look at so many tables.
  const auto asked = [](int tables) {
    Pipeline s;
    std::vector<std::string> argv = {"--check"};
    for (int i = 0; i < tables; ++i) {
      const std::string name = "t" + std::to_string(i);
      s.cluster.execute("CREATE TABLE " + name + " (id int PRIMARY KEY, a text)");
      argv.insert(argv.end(), {"--table", name});
    }
    s.cluster.execute("ALTER SYSTEM SET log_statement = 'all'");
    s.cluster.execute("SELECT pg_reload_conf()");
    REQUIRE(eventually([&] { return s.cluster.scalar("SHOW log_statement") == "all"; }));
    const Result result = s.seed(argv);
    CAPTURE(result.out, result.err);
    REQUIRE(result.ok());
    const std::string log = s.cluster.log_tail(10'000'000);
    int count = 0;
    for (auto at = log.find("execute "); at != std::string::npos; at = log.find("execute ", at + 1))
      ++count;
    return count;
  };
  const int few = asked(3);
  CHECK(few > 3);
  CHECK(asked(40) == few);
}

TEST_CASE("status, verify and config init: where there are many tables, what matters is not hidden",
          "[mirror][check]") {
  Pipeline s;
  s.cluster.execute(
      "DO $$ BEGIN FOR i IN 1..60 LOOP "
      "EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY)', i);"
      "EXECUTE format('CREATE VIEW v%s AS SELECT * FROM t%s', i, i);"
      "EXECUTE format('INSERT INTO t%s VALUES (1), (2)', i); END LOOP; END $$;"
      "CREATE EXTENSION deltaflood");
  s.start_stream();
  const Result init = run({program("deltamirror"), "config", "init", "-d", s.cluster.conninfo()});
  REQUIRE(init.ok());
  CHECK(nlohmann::json::parse(init.out)["tables"].size() == 60);  // and none of our own
  CHECK(std::count(init.err.begin(), init.err.end(), '\n') == 1);
  CHECK_THAT(init.err, Catch::Contains("which cannot be followed (60): v1, "));
  const std::string file = s.dir / "many.json";
  std::ofstream(file) << init.out;
  REQUIRE(s.seed({"--config", file}).ok());
  const auto lines_of = [&](std::vector<std::string> argv) {
    argv.insert(argv.begin(), program("deltamirror"));
    const Result result = run(argv);
    INFO(result.out << result.err);
    CHECK(result.err.empty());
    return std::count(result.out.begin(), result.out.end(), '\n');
  };
  const std::vector<std::string> check = {"config", "check", file, "-d", s.cluster.conninfo()};
  const auto and_all = [](std::vector<std::string> argv) {
    argv.push_back("--all");
    return argv;
  };
  CHECK(lines_of(check) < 10);
  CHECK(lines_of(and_all(check)) > 120);
  // What is in the way comes first, and what is the same of many is counted.
  s.cluster.execute(
      "CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;"
      "REVOKE SELECT ON t7 FROM reader");
  std::vector<std::string> argv = check;
  argv.insert(argv.begin(), program("deltamirror"));
  argv.back() = conninfo_of(s, "reader");
  const std::string one = run(argv).out;
  CAPTURE(one);
  const auto failed = one.find("FAILED  table      \"t7\" cannot be copied");
  REQUIRE(failed != std::string::npos);
  CHECK(failed < one.find("ok      tables     59 tables, 59 columns"));
  CHECK_THAT(one, Catch::Matches("(.|\n)* integer +INTEGER +59 columns\n(.|\n)*"));
  s.cluster.execute("REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM reader");
  const std::string none = run(argv).out;
  CHECK(std::count(none.begin(), none.end(), '\n') < 110);
  CHECK_THAT(none, Catch::Contains("10 more cannot be copied"));
  CHECK(lines_of({"status", s.mirror()}) < 40);
  CHECK(lines_of({"status", s.mirror(), "--all"}) > 60);
  const Result verified = run({program("deltamirror"), "verify", s.mirror(), "-d",
                               s.cluster.conninfo(), "--daystream", s.stream()});
  CHECK(verified.ok());
  CHECK_THAT(verified.out, Catch::EndsWith("\nin all: 60 tables, 120 rows, 0 differ\n"));
  // Each command's help is about that command.
  for (const char* const command : {"status", "verify", "wait", "reseed"}) {
    const Result help = run({program("deltamirror"), command, "--help"});
    CAPTURE(help.out);
    CHECK_THAT(help.out, Catch::Contains(std::string("deltamirror ") + command));
    CHECK_THAT(help.out, !Catch::Contains("deltamirror up "));
  }
}

TEST_CASE("config check: a view over what is not there is found, which SQLite would take",
          "[mirror][check]") {
  Pipeline s;
  s.cluster.execute(kTables);
  const auto check = [&](const std::string& sql) {
    const std::string file = s.dir / "c.json";
    std::ofstream(file) << R"({"tables": [{"table": "fox"}], "extra_sql": [")" << sql << R"("]})";
    return run({program("deltamirror"), "config", "check", file, "-d", s.cluster.conninfo()});
  };
  CHECK(check("CREATE VIEW v AS SELECT total, huge_num FROM fox").exit.code == 0);
  for (const char* const wrong :
       {"VIEW v AS SELECT nope FROM fox", "VIEW v AS SELECT id FROM foxes",
        "TEMP VIEW v AS SELECT nope FROM fox"}) {
    const Result result = check("CREATE " + std::string(wrong));
    CAPTURE(result.out);
    CHECK(result.exit.code == 2);
    CHECK_THAT(result.out, Catch::Contains("view \"v\" of extra_sql cannot be read: "));
  }
}

TEST_CASE("seed: extra_sql that SQLite does not take is known before a row is copied",
          "[mirror][check]") {
  Pipeline s;
  s.cluster.execute(kTables);
  s.cluster.execute("INSERT INTO fox VALUES (1)");
  s.start_stream();
  const std::string file = s.dir / "c.json";
  const auto seed = [&](const std::string& sql, const std::string& divisor) {
    const std::string query = "SELECT id, 1 / (" + divisor + ") AS n FROM fox";
    const nlohmann::json config = {
        {"tables", {{{"table", "fox"}}, {{"query", query}, {"as", "f"}}}}, {"extra_sql", {sql}}};
    std::ofstream(file) << config;
    return s.seed({"--config", file});
  };
  const std::string fails_at_first_row = "id - id";
  const auto check_refused = [&](const std::string& sql, const std::string& words) {
    const Result result = seed(sql, fails_at_first_row);
    CAPTURE(result.err);
    CHECK(result.exit.code == 2);
    CHECK_THAT(result.err, Catch::Contains(words) && Catch::Contains("\nHINT: ") &&
                               !Catch::Contains("division by zero"));
    for (const auto& entry : std::filesystem::directory_iterator(s.dir.path())) {
      CHECK(entry.path().filename().string().find(".seeding") == std::string::npos);
    }
  };
  check_refused("CREATE VIEW v AS SELEKT 1", "extra_sql[0]: SQLite: near \"SELEKT\"");
  check_refused("CREATE INDEX i ON fox(nope)", "extra_sql[0]: SQLite: ");
  check_refused("CREATE VIEW v AS SELECT nope FROM f", "view \"v\" of extra_sql cannot be read");
  check_refused("DROP TABLE f", "extra_sql[0] removes table \"f\"");
  CHECK_THAT(seed("CREATE VIEW v AS SELECT n FROM f", fails_at_first_row).err,
             Catch::Contains("division by zero"));
  const Result right = seed("CREATE VIEW v AS SELECT n FROM f", "id");
  CAPTURE(right.err);
  CHECK(right.ok());
}

TEST_CASE("config init: what the role may not read yet is named", "[mirror][check]") {
  Pipeline s;
  s.cluster.execute(std::string(kTables) +
                    "; CREATE TABLE hen (id int PRIMARY KEY); GRANT SELECT ON fox TO reader");
  const Result init =
      run({program("deltamirror"), "config", "init", "-d", conninfo_of(s, "reader")});
  CHECK(init.ok());
  CHECK(nlohmann::json::parse(init.out)["tables"].size() == 2);
  CHECK_THAT(init.err, Catch::Contains("role \"reader\" may not read 1 table of these yet: hen; "
                                       "HINT: as their owner: GRANT SELECT ON hen TO \"reader\";"));
}

TEST_CASE("config init: --partition-root names the table at the top instead of its partitions",
          "[mirror][check]") {
  Pipeline s;
  s.cluster.execute(
      "CREATE TABLE plain (id int PRIMARY KEY);"
      "CREATE TABLE days (day date, id int, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);"
      "CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-01-02');"
      "CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM ('2026-01-02') TO ('2026-01-03')");
  const auto init = [&](std::vector<std::string> more) {
    std::vector<std::string> argv = {program("deltamirror"), "config", "init", "-d",
                                     s.cluster.conninfo()};
    argv.insert(argv.end(), more.begin(), more.end());
    return run(argv);
  };
  const auto tables_of = [](const Result& result) {
    std::vector<std::string> names;
    const nlohmann::json config = nlohmann::json::parse(result.out);
    for (const auto& table : config["tables"]) names.push_back(table["table"]);
    return names;
  };
  using Names = std::vector<std::string>;
  const Result partitions = init({});
  CHECK(tables_of(partitions) == Names{"days_1", "days_2", "plain"});
  CHECK_THAT(partitions.err, Catch::Contains("\"config init --partition-root\" names it itself"));
  const Result roots = init({"--partition-root"});
  CHECK(tables_of(roots) == Names{"days", "plain"});
  CHECK_THAT(roots.err, Catch::Contains("deltastream --partition-root, for 1 partitioned table"));
  // As a stream of that kind takes it.
  const std::string file = s.dir / "roots.json";
  std::ofstream(file) << roots.out;
  s.streamer.emplace(std::vector<std::string>{program("deltastream"), "-d", s.cluster.conninfo(),
                                              "-S", "mirror", "-D", s.stream(), "--create-slot",
                                              "--partition-root"});
  REQUIRE(support::eventually([&] { return std::filesystem::exists(s.dir / "stream/durable"); }));
  REQUIRE(s.seed({"--config", file}).ok());
}
