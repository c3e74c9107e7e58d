// What a person gets wrong: one clear line, the exit code of docs/errors.md#exit-codes, nothing
// written.
#include <catch2/catch.hpp>
#include <csignal>

#include "pipeline.h"

using namespace pipeline;
using support::program;
using support::Result;
using support::run;

namespace {

std::vector<std::string> stream_command(const Pipeline& p, const std::vector<std::string>& more) {
  std::vector<std::string> argv = {program("deltastream"), "-d", p.conninfo(), "-D",
                                   p.daystream().string()};
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

// The one line that says what went wrong: everything but log lines of the good times, and hints.
std::string complaint(const Result& result) {
  std::string out;
  std::size_t begin = 0;
  while (begin < result.err.size()) {
    const std::size_t end = std::min(result.err.find('\n', begin), result.err.size());
    const std::string line = result.err.substr(begin, end - begin);
    begin = end + 1;
    if (line.find(" INFO ") != std::string::npos || line.find(" DEBUG ") != std::string::npos ||
        line.find("HINT: ") != std::string::npos || line.starts_with("Try \"")) {
      continue;
    }
    out += line + "\n";
  }
  return out;
}

bool one_line(const std::string& text) {
  return !text.empty() && text.find('\n') == text.size() - 1;
}

}  // namespace

TEST_CASE("bad input: an unknown option and a missing argument are usage errors",
          "[pipeline][bad]") {
  for (const auto& [name, argv] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"deltastream", {"--no-such-option"}},
           {"deltastream", {"-D", "x"}},
           {"deltamirror", {"run"}},
           {"deltamirror", {"seed", "--no-such-option"}},
           {"daystream", {"cat"}},
           {"daystream", {"info", ""}},
           {"daystream", {"compress", ""}},
           {"deltamirror", {"status", ""}},
           {"deltamirror", {"seed", "m.db", "--table", ""}},
           {"deltastream", {"stauts", "x"}},
           {"deltastream", {"-S", "s", "-D", "x", "-o", "tables"}},
           {"deltastream", {"-S", "s", "-D", "x", "--tables", ""}},
           {"deltastream", {"-S", "s", "-S", "t", "-D", "x"}},
           {"deltastream", {"--no-such-option", "--help"}},
           {"daystream", {"tail", "x", "-n", "-1"}},
           {"daystream", {"group", "list", "x"}},
           {"deltamirror", {"status", "m.db", "--help", "--no-such-option"}},
           {"deltamirror", {"seed", "m.db", "--table", "a", "--columns", "b,,c"}},
           {"daystream", {"no-such-command"}}}) {
    std::vector<std::string> command = {program(name)};
    command.insert(command.end(), argv.begin(), argv.end());
    const Result result = run(command);
    CAPTURE(name, argv, result.err);
    CHECK(result.exit == support::Exit{2, 0});
    CHECK(one_line(complaint(result)));
    CHECK(result.err.find("Try \"" + name) != std::string::npos);
    CHECK(result.out.empty());
  }
}

TEST_CASE("bad input: a slot that is not there is named, and no daystream is begun",
          "[pipeline][bad]") {
  Pipeline p;
  const Result result = run(stream_command(p, {"-S", "nosuch", "-n"}));
  CAPTURE(result.err);
  CHECK(result.exit == support::Exit{3, 0});
  CHECK(one_line(complaint(result)));
  CHECK(complaint(result).find("\"nosuch\"") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(p.daystream() / "durable"));
}

TEST_CASE("bad input: a daystream in use says who uses it", "[pipeline][bad]") {
  Pipeline p;
  p.start_stream();
  const Result result = run(stream_command(p, {"-S", "app", "-n"}));
  CAPTURE(result.err);
  CHECK(result.exit == support::Exit{1, 0});
  CHECK(one_line(complaint(result)));
  CHECK(complaint(result).find(std::to_string(p.stream().pid())) != std::string::npos);
}

TEST_CASE("bad input: another cluster's daystream is refused and left as it is",
          "[pipeline][bad]") {
  Pipeline p;
  p.start_stream();
  p.stream().signal(SIGTERM);
  p.stream().wait();
  const std::uintmax_t before = check_daystream(p.daystream()).lines;

  Pipeline other({.own_system_identifier = true});
  other.execute("SELECT pg_create_logical_replication_slot('app', 'deltaflood')");
  const Result result = run({program("deltastream"), "-d", other.conninfo(), "-S", "app", "-D",
                             p.daystream().string(), "-n"});
  CAPTURE(result.err);
  CHECK(result.exit == support::Exit{3, 0});
  CHECK(one_line(complaint(result)));
  CHECK(check_daystream(p.daystream()).lines == before);
}

TEST_CASE("bad input: a table that is not there, or has no key, is named and nothing is left",
          "[pipeline][bad]") {
  Pipeline p;
  p.execute("CREATE TABLE keyless (a int)");
  p.start_stream();
  for (const std::string table : {"nosuch", "keyless"}) {
    const Result result = run(p.seed_command({table}));
    CAPTURE(table, result.err);
    CHECK((result.exit.code == 1 || result.exit.code == 2 || result.exit.code == 3));
    CHECK(one_line(complaint(result)));
    CHECK(complaint(result).find(table) != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(p.mirror()));
  }
}

TEST_CASE("bad input: a flipped bit stops a mirror with file and offset", "[pipeline][bad]") {
  Pipeline p;
  p.execute("CREATE TABLE foxes (id int PRIMARY KEY, name text)");
  p.start_stream();
  p.seed({"foxes"});
  p.execute("INSERT INTO foxes VALUES (1, 'grey')");
  const std::string lsn = p.scalar("SELECT pg_current_wal_lsn()");
  REQUIRE(support::eventually([&] {
    return p.scalar("SELECT confirmed_flush_lsn >= '" + lsn + "' FROM pg_replication_slots") == "t";
  }));
  p.stream().signal(SIGTERM);
  p.stream().wait();
  std::filesystem::path day;
  for (const auto& entry : std::filesystem::directory_iterator(p.daystream())) {
    if (entry.path().extension() == ".tsv") day = entry.path();
  }
  std::string bytes = support::read_file(day);
  const std::size_t at = bytes.find("grey");
  REQUIRE(at != std::string::npos);
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  support::write_file(day, bytes);

  const Result verify = run({program("daystream"), "verify", p.daystream().string()});
  CAPTURE(verify.err, verify.out);
  CHECK(verify.exit == support::Exit{3, 0});
  CHECK((verify.err + verify.out).find(day.filename().string()) != std::string::npos);
  const Result result = run({program("deltamirror"), "run", p.mirror().string(), "--daystream",
                             p.daystream().string(), "--once"});
  CAPTURE(result.err);
  CHECK(result.exit == support::Exit{3, 0});
  CHECK(one_line(complaint(result)));
  CHECK(result.err.find(day.filename().string()) != std::string::npos);
  CHECK(sqlite_rows(p.mirror(), "foxes", "id").empty());
}

TEST_CASE("bad input: a file that is no mirror, is there already, or may not be read",
          "[pipeline][bad]") {
  Pipeline p;
  p.execute("CREATE TABLE foxes (id int PRIMARY KEY); CREATE ROLE limited LOGIN");
  p.start_stream();
  p.seed({"foxes"});
  const std::string deltamirror = program("deltamirror");
  const std::string stream = p.daystream().string();
  const std::string text = (p.folder() / "text.db").string();
  support::write_file(text,
                      "this is no database, but long enough to be looked at, and then some\n");
  const std::string snapshot = (p.folder() / "snapshot.db").string();
  support::run_ok({deltamirror, "snapshot", p.mirror().string(), snapshot});
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"status", text},
           {"run", text, "--daystream", stream, "--once"},
           {"snapshot", text, snapshot + ".2"},
           {"snapshot", p.mirror().string(), snapshot},
           {"restore", snapshot, "--snapshot", p.mirror().string(), "--daystream", stream, "--to",
            "latest"},
           {"verify", text, "-d", p.conninfo(), "--daystream", stream},
           {"down", text, "--yes"},
           {"seed", (p.folder() / "new.db").string(), "--table", "foxes", "--daystream", stream,
            "-d", p.conninfo() + " user=limited"},
           {"seed", (p.folder() / "new.db").string(), "--table", "foxes", "--daystream", stream,
            "-d", p.conninfo() + " user=nobody"}}) {
    std::vector<std::string> command = {deltamirror};
    command.insert(command.end(), arguments.begin(), arguments.end());
    const std::string before = support::read_file(text) + support::read_file(snapshot);
    const Result result = run(command);
    CAPTURE(arguments, result.err);
    CHECK(result.exit == support::Exit{3, 0});
    CHECK(one_line(complaint(result)));
    CHECK(result.err.find("\nHINT: ") != std::string::npos);
    CHECK(support::read_file(text) + support::read_file(snapshot) == before);
    CHECK_FALSE(std::filesystem::exists(p.folder() / "new.db"));
    CHECK_FALSE(std::filesystem::exists(snapshot + ".2"));
  }
}

TEST_CASE("bad input: what is not there yet is no reason to hang, or to leave something behind",
          "[pipeline][bad]") {
  const support::TempDir dir;
  const std::string nowhere = (dir / "nowhere").string();
  const std::string mirror = (dir / "mirror.db").string();
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {program("daystream"), "group", nowhere, "list"},
           {program("daystream"), "group", nowhere, "pause", "g"},
           {program("daystream"), "tail", nowhere},
           {program("daystream"), "consume", nowhere, "--checkpoint", (dir / "at").string(), "--",
            "cat"},
           {program("daystream"), "pull", "http://127.0.0.1:1/prod", nowhere, "--once"},
           {program("deltastream"), "status", nowhere},
           {program("deltamirror"), "restore", mirror, "--snapshot", nowhere, "--daystream",
            nowhere, "--to", "latest"},
           {program("deltamirror"), "down", mirror, "--yes", "-d", "host=" + nowhere}}) {
    const Result result = run(command);
    CAPTURE(command, result.err);
    CHECK(result.exit == support::Exit{1, 0});
    CHECK(one_line(complaint(result)));
    CHECK(result.err.find("\nHINT: ") != std::string::npos);
    CHECK(std::filesystem::is_empty(dir.path()));
  }
}

TEST_CASE("bad input: what is wrong is said in our words, and what may stand there",
          "[pipeline][bad]") {
  const support::TempDir dir;
  const std::string folder = dir.path().string();
  struct Wrong {
    std::vector<std::string> command;
    int code;
    std::string says;
  };
  for (const auto& [command, code, says] : std::vector<Wrong>{
           {{"daystream", "publish", folder, "nats://a/b", "--replicas", "7"},
            2,
            "invalid --replicas \"7\": must be one of 1, 2, 3, 5"},
           {{"daystream", "token", folder, "edge"}, 3, "HINT: name a file: that is a directory"},
           {{"daystream", "token", folder + "/tokens", "edge", "--expires", "next year"},
            2,
            "invalid day \"next year\" for --expires\nHINT: write it as 2026-12-31"},
           {{"daystream", "serve", folder, "--config", "a", "--config", "b"},
            2,
            "--config is given more than once, with different values"}}) {
    std::vector<std::string> argv = command;
    argv[0] = program(argv[0]);
    const Result result = run(argv);
    CAPTURE(command, result.err);
    CHECK(result.exit == support::Exit{code, 0});
    CHECK(result.err.find(says) != std::string::npos);
    CHECK(result.out.empty());
  }
  CHECK(std::filesystem::is_empty(dir.path()));
}

TEST_CASE("bad input: a mirror that may not be looked at is not taken for one that is not there",
          "[pipeline][bad]") {
  const support::User other = support::User::server();
  if (!other.uid) return;  // who is not root has no other user
  const support::TempDir dir;
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0700));
  const std::string mirror = (dir / "m.db").string();
  for (const char* command : {"doctor", "verify"}) {
    const Result result =
        run({program("deltamirror"), command, mirror, "-d", "dbname=x"}, {.user = other});
    CAPTURE(command, result.err, result.out);
    CHECK(result.exit == support::Exit{3, 0});
    CHECK((result.err + result.out).find("Permission denied") != std::string::npos);
  }
  const Result status = run({program("deltamirror"), "status", mirror}, {.user = other});
  CAPTURE(status.err);
  CHECK(status.exit == support::Exit{3, 0});
  CHECK(status.err.find("could not look at \"" + mirror + "\": Permission denied") !=
        std::string::npos);
}

TEST_CASE("help: words of an option go on beneath themselves, and are as wide as a page",
          "[pipeline][help]") {
  const Result help = run({program("deltastream"), "--help"});
  REQUIRE(help.ok());
  std::istringstream lines(help.out);
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    CHECK(line.size() <= 100);
  }
  for (const auto& [name, command] : std::vector<std::pair<std::string, std::string>>{
           {"deltastream", "status"}, {"daystream", "cat"}, {"deltamirror", "status"}}) {
    CAPTURE(name, command);
    const Result of_command = run({program(name), command, "--help"});
    CHECK(of_command.out.find("  -h,--help") != std::string::npos);
    CHECK(of_command.out.find("show this help and exit\n") != std::string::npos);
    // Its own examples, not the program's.
    CHECK(of_command.out.find("  " + name + " " + command) != std::string::npos);
    CHECK(of_command.out.find("--create-slot") == std::string::npos);
  }
  CHECK(help.out.find("tables to stream, as 'orders,billing.*,\"Odd\"' (default: all): names as") !=
        std::string::npos);
}
