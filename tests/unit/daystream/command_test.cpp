// The daystream command, run as people run it.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "daystream/error.h"
#include "program/when.h"
#include "stream_fixture.h"
#include "support/scratch_dir.h"

using namespace daystream;
using namespace daystream::test;

namespace {

struct Ran {
  int code;
  std::string out;  // both streams
};

Ran run(const std::string& arguments) {
  const std::string command = std::string(DAYSTREAM_PROGRAM) + " " + arguments + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  Ran ran{0, {}};
  for (int c = fgetc(pipe); c != EOF; c = fgetc(pipe)) ran.out += static_cast<char>(c);
  const int status = pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ran;
}

// What it shows on a terminal, which is to say that all is well.
std::string on_terminal(const std::string& arguments) {
  const std::string command =
      fmt::format("script -qec '{} {}' /dev/null </dev/null", DAYSTREAM_PROGRAM, arguments);
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string out;
  for (int c = fgetc(pipe); c != EOF; c = fgetc(pipe)) out += static_cast<char>(c);
  CHECK(pclose(pipe) == 0);
  return out;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// A mark and three transactions: on foxes, on hens with a key change, on both.
struct Farm : WrittenStream {
  Farm() {
    Writer writer = this->writer();
    writer.mark(Lsn{0x1000}, {1, 1, {}});
    writer.append(transaction(1));
    now += 10;
    writer.append(
        "_table\thens\t_xid\t2\t_action\treplace\tid\t1\n"
        "_table\thens\t_xid\t2\t_action\tupdate\tid\t2\tname\tha\\tha\xC3\xA4\\xff\n" +
        commit(2));
    now += 10;
    writer.append("_table\thens\t_xid\t3\t_action\tdelete\tid\t2\n" + transaction(3));
    writer.flush();
    all = lines_of(slurp(day_path()));
    dir = directory.path().string();
  }
  std::vector<std::string> pick(std::initializer_list<std::size_t> which) const {
    std::vector<std::string> picked;
    for (const std::size_t i : which) picked.push_back(all[i]);
    return picked;
  }
  std::vector<std::string> all;  // 0 mark · 1 2 · 3 4 5 · 6 7 8
  std::string dir;
};

}  // namespace

TEST_CASE("cat: shows the lines as they stand in the files", "[command]") {
  const Farm farm;
  REQUIRE(farm.all.size() == 9);
  const auto cat = [&](const std::string& options) {
    const Ran ran = run("cat " + farm.dir + " " + options);
    CHECK(ran.code == 0);
    return lines_of(ran.out);
  };
  CHECK(cat("") == farm.all);
  CHECK(cat("--after 1507550400/2") == farm.pick({3, 4, 5, 6, 7, 8}));
  CHECK(cat("--after 1507550410/0") == farm.pick({4, 5, 6, 7, 8}));
  CHECK(cat("--since '2017-10-09 12:00:10'") == farm.pick({3, 4, 5, 6, 7, 8}));
  CHECK(cat("--since 2017-10-01") == farm.all);
  CHECK(cat("--since @1507550411") == farm.pick({6, 7, 8}));
  CHECK(cat("--since 0/1020") == farm.pick({3, 4, 5, 6, 7, 8}));
  CHECK(cat("--since 1507550420/0 --until 1507550420/2") == farm.pick({6, 7, 8}));
  CHECK(cat("--until 1507550410/2") == farm.pick({0, 1, 2, 3, 4, 5}));
  CHECK(cat("--until '2017-10-09 12:00:20'") == farm.pick({0, 1, 2, 3, 4, 5}));
  CHECK(cat("--until 0/1010") == farm.pick({0, 1, 2}));
  CHECK(cat("--lsn 0/1015") == farm.pick({3, 4, 5}));
  CHECK(cat("--xid 3") == farm.pick({6, 7, 8}));
}

TEST_CASE("cat: a filter leaves out lines, and transactions of which nothing is left",
          "[command]") {
  const Farm farm;
  const auto cat = [&](const std::string& options) {
    const Ran ran = run("cat " + farm.dir + " " + options);
    CHECK(ran.code == 0);
    auto lines = lines_of(ran.out);
    std::erase_if(lines, [](const std::string& line) { return !line.starts_with("_"); });
    return lines;
  };
  CHECK(cat("--tables hens") == farm.pick({3, 4, 5, 6, 8}));
  CHECK(cat("--tables 'fox,cats'") == farm.pick({1, 2, 7, 8}));
  CHECK(cat("--tables cats").empty());
  // The pair stays together, whichever of the two is asked for.
  CHECK(cat("--where id=1") == farm.pick({3, 4, 5}));
  CHECK(cat("--where id=2") == farm.pick({3, 4, 5, 6, 8}));
  CHECK(cat("--where id=2 --actions delete") == farm.pick({6, 8}));
  CHECK(cat("--actions update") == farm.pick({3, 4, 5}));
  CHECK(cat("--where a=fox3 --where b=0") == farm.pick({7, 8}));
  CHECK(cat("--where a=fox3 --where b=1").empty());
  CHECK(cat("--where a=fox").empty());  // not the beginning of a value
}

TEST_CASE("cat: JSON is one object a line, and loses nothing", "[command]") {
  const Farm farm;
  const auto lines = lines_of(run("cat --json " + farm.dir).out);
  REQUIRE(lines.size() == 9);
  CHECK(lines[4] ==
        "{\"_c\":1507550410,\"_s\":1,\"_table\":\"hens\",\"_xid\":2,\"_action\":\"update\","
        "\"columns\":{\"id\":\"2\",\"name\":\"ha\\u0009haä\\udcff\"}}");
  const auto end = nlohmann::json::parse(lines[5]);
  CHECK(end["_action"] == "commit");
  CHECK(end["_lsn"] == "0/1020");
  CHECK(end["_next"] == 3);
  CHECK_FALSE(end.contains("columns"));
}

TEST_CASE("cat, tail: a long transaction is cut on a terminal, and nowhere else", "[command]") {
  WrittenStream stream;
  {
    Writer writer = stream.writer();
    writer.mark(Lsn{0x1000}, {1, 1, {}});
    writer.append(transaction(1, 20'000));
    writer.append(transaction(2, 3));
    writer.flush();
  }
  const std::string path = stream.directory.path().string();
  for (const char* command : {"cat ", "tail "}) {
    CAPTURE(command);
    const std::string shown = on_terminal(command + path);
    CHECK(lines_of(shown).size() < 1100);
    CHECK_THAT(shown, Catch::Contains("19000 lines not shown (--all shows them)"));
    CHECK_THAT(shown, Catch::Contains("xid 2"));  // and goes on with what follows
    CHECK_THAT(shown, Catch::Contains("\x1b["));
    const std::string all = on_terminal(command + std::string("--all ") + path);
    CHECK(lines_of(all).size() > 20'000);
    CHECK(all.find("not shown") == std::string::npos);
    // Piped, and into a file: the lines themselves.
    CHECK(lines_of(run(command + path).out).size() > 20'000);
    CHECK(lines_of(run(command + std::string("--format text ") + path).out).size() > 20'000);
  }
  CHECK(on_terminal("cat --color never " + path).find("\x1b[") == std::string::npos);
}

TEST_CASE("tail: shows the last transactions that are wanted", "[command]") {
  const Farm farm;
  CHECK(lines_of(run("tail -n 1 " + farm.dir).out) == farm.pick({6, 7, 8}));
  CHECK(lines_of(run("tail -n 2 " + farm.dir).out) == farm.pick({3, 4, 5, 6, 7, 8}));
  CHECK(lines_of(run("tail -n 2 --tables fox " + farm.dir).out) == farm.pick({1, 2, 7, 8}));
  CHECK(lines_of(run("tail -n 0 " + farm.dir).out).empty());
  CHECK(lines_of(run("tail --since @1507550411 " + farm.dir).out) == farm.pick({6, 7, 8}));
}

TEST_CASE("cat: says that nothing fits a filter, and nothing where something does", "[command]") {
  const Farm farm;
  for (const char* command : {"cat ", "tail "}) {
    const Ran said = run(command + farm.dir + " --tables typo --where id=1");
    CHECK(said.code == 0);
    CHECK_THAT(said.out, Catch::StartsWith("daystream: no line that was read fits --tables "
                                           "\"typo\" --where \"id=1\"\nHINT: "));
    CHECK_THAT(run(command + farm.dir + " --tables hens").out, !Catch::Contains("HINT"));
    // Nothing was read that could have fitted.
    CHECK(run(command + farm.dir + " --after 9999999999/0 --tables typo").out.find("fits") ==
          std::string::npos);
  }
}

TEST_CASE("command: a range that ends before it begins is wrong usage", "[command]") {
  const Farm farm;
  for (const std::string command : {"cat ", "tail ", "info --tables ", "log --table t --key 1 "}) {
    const Ran said = run(command + farm.dir + " --since 12:00 --until 11:00");
    CHECK(said.code == 2);
    CHECK_THAT(said.out, Catch::Contains("--since \"12:00\" is later than --until \"11:00\""));
  }
}

TEST_CASE("command: what is wrong is said in one line, with its exit code", "[command]") {
  const Farm farm;
  const auto check = [&](const std::string& arguments, int code, const std::string& text) {
    const Ran ran = run(arguments);
    CAPTURE(arguments);
    CHECK(ran.code == code);
    CHECK(lines_of(ran.out).at(0) == "daystream: " + text);
  };
  check("cat", 2, "STREAM is required");
  check("catt " + farm.dir, 2, "unknown command \"catt\": did you mean \"cat\"?");
  check("cat " + farm.dir + " --formt tsv", 2,
        "unrecognized option \"--formt\": did you mean \"--format\"?");
  // Also where it was to give what lacks otherwise.
  check("log " + farm.dir + " --tabel fox", 2,
        "unrecognized option \"--tabel\": did you mean \"--table\"?");
  check("cat " + farm.dir + " --frobnicate", 2, "unrecognized option \"--frobnicate\"");
  check("cat " + farm.dir + " other", 2, "unrecognized argument \"other\"");
  check("--json cat " + farm.dir, 2, "option \"--json\" is one of \"cat\": write it behind that");
  check("cat " + farm.dir + " --format odd", 2,
        "invalid --format \"odd\": must be one of auto, tsv, json, sql, text");
  check("tail " + farm.dir + " -n x", 2,
        "invalid --lines \"x\": must be a whole number, 0 or more");
  check("cat " + farm.dir + " --xid 99999999999", 2, "invalid --xid \"99999999999\": too large");
  check("cat " + farm.dir + " --tables", 2, "--tables needs a value");
  CHECK_THAT(run("").out, Catch::StartsWith("daystream: no command: cat, tail,"));
  CHECK_THAT(run("frobnicate").out,
             Catch::StartsWith("daystream: unknown command \"frobnicate\": there are cat,"));
  CHECK_THAT(run("cat --formt").out,
             Catch::EndsWith("Try \"daystream cat --help\" for more information.\n"));
  check("cat " + farm.dir + " --since soon", 2, "invalid time \"soon\" for --since");
  check("cat " + farm.dir + " --after 5", 2, "invalid position \"5\" for --after");
  check("cat " + farm.dir + " --lsn 5", 2, "invalid LSN \"5\" for --lsn");
  check("cat " + farm.dir + " --where id", 2, "invalid condition \"id\" for --where");
  check("cat " + farm.dir + " --actions fly", 2, "unknown action \"fly\" for --actions");
  check("cat " + farm.dir + " --tables a,", 2, "invalid table list \"a,\": a name is empty");
  check("cat /nowhere", 1,
        "could not open file \"/nowhere/daystream.json\": No such file or directory");
  check("verify https://host/prod", 2,
        "cannot use \"https://host/prod\": this command needs the files themselves");
  check("cat " + farm.dir + " --after 1/1", 3,
        "what follows position 1/1 is no longer in daystream \"" + farm.dir +
            "\", which begins at 1507550400/0 (LSN 0/1000)");
  CHECK(run("cat --help").code == 0);
  // Help is for a line that has nothing wrong; which of two values counts, nobody is to guess.
  check("cat --formt tsv --help", 2, "unrecognized option \"--formt\": did you mean \"--format\"?");
  check("catt --help", 2, "unknown command \"catt\": did you mean \"cat\"?");
  check("--versoin --version", 2, "unrecognized option \"--versoin\": did you mean \"--version\"?");
  check("cat " + farm.dir + " --tables a --tables b", 2,
        "--tables is given more than once, with different values");
  check("--ca a cat " + farm.dir + " --ca b", 2,
        "--ca is given more than once, with different values");
  CHECK(run("cat " + farm.dir + " --format tsv --format tsv --all --all").code == 0);
  const std::string version = run("--version").out;
  CHECK(version.starts_with("daystream " DELTAFLOOD_VERSION " (commit "));
  CHECK(version.ends_with("; daystream format 1, HTTP protocol 1)\n"));
}

TEST_CASE("command: a reader that has enough is no error", "[command]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.append(transaction(1, 50'000));
  writer.flush();
  const std::string dir = stream.directory.path().string();
  const std::string command =
      fmt::format("(\"{}\" cat {} --json 2>{}/said; echo $? >{}/code) | head -n 1 >/dev/null",
                  DAYSTREAM_PROGRAM, dir, dir, dir);
  REQUIRE(std::system(command.c_str()) == 0);
  CHECK(slurp(dir + "/code") == "0\n");
  CHECK(slurp(dir + "/said").empty());
}

TEST_CASE("verify: counts what is whole, and tells file and byte of what is not", "[command]") {
  Farm farm;
  Ran ran = run("verify " + farm.dir);
  CHECK(ran.code == 0);
  CHECK(ran.out.find("1 day, 9 lines, 3 transactions, 1 mark, 0 aborts, 0 gaps") !=
        std::string::npos);
  CHECK(ran.out.find("durable through 1507550420/2 (LSN 0/1030, 2017-10-09T12:00:20Z)") !=
        std::string::npos);
  std::string bytes = slurp(farm.day_path());
  const auto at = bytes.find("fox3");
  bytes[at] = 'b';
  spill(farm.day_path(), bytes);
  ran = run("verify " + farm.dir);
  CHECK(ran.code == 3);
  CHECK(ran.out.starts_with("daystream: file \"" + farm.day_path() + "\" is damaged at byte " +
                            std::to_string(bytes.find("_c\t1507550420"))));
  CHECK(ran.out.find("HINT: restore the file from a copy") != std::string::npos);
  // It was confirmed: nothing to cut, but not well either.
  ran = run("repair " + farm.dir);
  CHECK(ran.code == 3);
  CHECK(ran.out.find(": nothing to cut\n") != std::string::npos);
  CHECK(ran.out.find("is damaged at byte") != std::string::npos);
  CHECK(slurp(farm.day_path()) == bytes);
}

TEST_CASE("verify: --json has what it prints, under the keys of info", "[command]") {
  const Farm farm;
  const Ran ran = run("verify --json " + farm.dir);
  CHECK(ran.code == 0);
  auto found = nlohmann::json::parse(ran.out);
  CHECK(found["took_seconds"].is_number());
  found.erase("took_seconds");
  const auto info = nlohmann::json::parse(run("info --json " + farm.dir).out);
  CHECK(found == nlohmann::json({{"stream", farm.dir},
                                 {"days", 1},
                                 {"size_bytes", info["size_bytes"]},
                                 {"lines", 9},
                                 {"transactions", 3},
                                 {"marks", 1},
                                 {"aborts", 0},
                                 {"gaps", 0},
                                 {"durable", info["durable"]},
                                 {"durable_file", true}}));
}

TEST_CASE("repair: cuts only what was never confirmed, and says what", "[command]") {
  Farm farm;
  CHECK(run("repair " + farm.dir)
            .out.starts_with("daystream \"" + farm.dir + "\": nothing to cut\n"));
  const std::string bytes = slurp(farm.day_path());
  const std::string half = "_c\t1507550420\t_s\t3\t_ta";
  spill(farm.day_path(), bytes + half);
  Ran ran = run("repair " + farm.dir);
  CHECK(ran.code == 0);
  CHECK(ran.out.starts_with("cut " + std::to_string(half.size()) + " bytes from byte " +
                            std::to_string(bytes.size()) + " of file \"" + farm.day_path() +
                            "\", never confirmed: a half line\n"));
  CHECK(slurp(farm.day_path()) == bytes);
  spill(farm.day_path(), bytes.substr(0, bytes.size() - 1));
  ran = run("repair " + farm.dir);
  CHECK(ran.code == 3);
  CHECK(slurp(farm.day_path()) == bytes.substr(0, bytes.size() - 1));
  spill(farm.day_path(), bytes);
  const Writer writer = farm.writer();
  CHECK(run("repair " + farm.dir).code == 1);
}

TEST_CASE("info: tells what is there and who writes", "[command]") {
  Farm farm;
  const auto info = nlohmann::json::parse(run("info --json " + farm.dir).out);
  CHECK(info["database"] == "foxes");
  CHECK(info["first"]["position"].get<std::string>().starts_with(std::to_string(kNoon) + "/"));
  CHECK(info["last"]["position"].get<std::string>().ends_with("/2"));
  CHECK(info["durable"]["lsn"] == "0/1030");
  CHECK(info["days"][0]["file"] == "2017-10-09.tsv");
  CHECK(info["writer"].is_null());
  const Writer writer = farm.writer();
  const Ran ran = run("info " + farm.dir);
  CHECK(ran.code == 0);
  CHECK(ran.out.find("(pid " + std::to_string(getpid())) != std::string::npos);
}

TEST_CASE("info: the rate is of the last five minutes, in bytes, lines and transactions",
          "[command]") {
  WrittenStream stream;
  {
    stream.now = std::time(nullptr) - 400;
    Writer writer = stream.writer();
    writer.mark(Lsn{0x1000}, {1, 1, {}});
    for (int i = 1; i <= 50; ++i) writer.append(transaction(i));
    stream.now = std::time(nullptr);
    for (int i = 51; i <= 80; ++i) writer.append(transaction(i, 2));
    writer.flush();
  }
  const auto info =
      nlohmann::json::parse(run("info --json " + stream.directory.path().string()).out);
  CHECK(info["rate_seconds"] == 300);
  CHECK(info["transactions_per_second"] == 0.1);
  CHECK(std::abs(info["lines_per_second"].get<double>() - 0.3) < 0.01);  // perhaps a day's mark
  CHECK(info["bytes_per_second"].get<double>() > 0.1);
}

TEST_CASE("info: --tables counts changes per table and action", "[command]") {
  const Farm farm;
  CHECK(lines_of(run("info --tables " + farm.dir).out) ==
        std::vector<std::string>{
            "table     insert     update     delete      other",
            "fox            2          0          0          0  ██████████████████████████████",
            "hens           0          1          1          0  ██████████████████████████████",
            "in 3 transactions, 8 lines"});
  const auto counts = nlohmann::json::parse(
      run("info --tables --json --since 1507550410/0 --until 1507550410/2 " + farm.dir).out);
  CHECK(counts["transactions"] == 1);
  CHECK(counts["lines"] == 3);
  CHECK(counts["tables"] ==
        nlohmann::json::parse(R"([{"table": "hens", "changes": 1, "update": 1}])"));
  CHECK(run("info --since 10:00 " + farm.dir).code == 2);
}

TEST_CASE("log: tells what became of a row, also under another key", "[command][log]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.mark(Lsn{0x1000}, {1, 1, {}});
  const std::string schema =
      "_table\thens\t_xid\t1\t_oid\t9\t_identity\td\t_pkey\t1\t_action\tschema\t"
      "id\t1 integer not null\tname\t2 text\tegg\t3 text\n";
  writer.append(schema + "_table\thens\t_xid\t1\t_action\tinsert\tid\t1\tname\tBerta\n" +
                "_table\thens\t_xid\t1\t_action\tinsert\tid\t11\tname\tElse\n" + commit(1));
  writer.append(
      "_table\thens\t_xid\t2\t_action\tupdate\tid\t1\tname\tBer\\tta\tegg\t\\N\n"
      "_table\tcows\t_xid\t2\t_action\tupdate\tid\t1\tname\tLiesl\n" +
      commit(2));
  writer.append(
      "_table\thens\t_xid\t3\t_action\treplace\tid\t1\n"
      "_table\thens\t_xid\t3\t_action\tupdate\tid\t2\n" +
      commit(3));
  writer.append("_table\thens\t_xid\t4\t_action\tupdate\tid\t2\tname\tCarla\tegg\tbrown\n" +
                commit(4));
  writer.append("_table\thens\t_xid\t5\t_action\tdelete\tid\t2\n" + commit(5));
  writer.append("_table\thens\t_xid\t6\t_action\tinsert\tid\t2\tname\tDora\n" + commit(6));
  writer.flush();
  const std::string dir = stream.directory.path().string();
  const std::string when = "2017-10-09T12:00:00Z  xid ";
  const std::vector<std::string> history = {when + "1  1507550400/2  insert",
                                            "    id  → 1",
                                            "    name  → Berta",
                                            when + "2  1507550400/5  update",
                                            "    name  Berta → Ber\\tta",
                                            when + "3  1507550400/9  update",
                                            "    id  1 → 2",
                                            when + "4  1507550400/11  update",
                                            "    egg  \\N → brown",
                                            "    name  Ber\\tta → Carla",
                                            when + "5  1507550400/13  delete",
                                            "    egg  brown →",
                                            "    id  2 →",
                                            "    name  Carla →"};
  CHECK(lines_of(run("log --table hens --key 1 " + dir).out) == history);
  CHECK(lines_of(run("log --table public.hens --key id=1 " + dir).out) == history);
  const auto lines = lines_of(run("log --json --table hens --key id=2 --since 0/1040 " + dir).out);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] ==
        "{\"time\":\"2017-10-09T12:00:00Z\",\"xid\":4,\"lsn\":\"0/1040\",\"c\":1507550400,"
        "\"s\":11,\"action\":\"update\",\"key\":{\"id\":\"2\"},\"old\":{},"
        "\"new\":{\"egg\":\"brown\",\"id\":\"2\",\"name\":\"Carla\"}}");
  CHECK(run("log --table hens --key 3 " + dir).out == "no change of that row\n");
  const Ran wrong = run("log --table hens --key 1,2 " + dir);
  CHECK(wrong.code == 2);
  CHECK(lines_of(wrong.out).at(0) == "daystream: the key of table \"hens\" is (id), not 2 values");
  // The key is known from before the range.
  CHECK_THAT(run("log --table hens --key 2 --since 0/1040 " + dir).out, Catch::Contains("update"));
  const Ran unknown = run("log --table cocks --key 1 " + dir);
  CHECK(unknown.code == 2);
  CHECK(lines_of(unknown.out).at(0) == "daystream: no schema line has the key of table \"cocks\"");
}

TEST_CASE("when: times as people write them", "[command][when]") {
  using program::parse_time;
  const std::int64_t now = kNoon + 62;  // 12:01:02
  const std::int64_t today = 1507507200;
  CHECK(parse_time("2017-10-09", now) == today);
  CHECK(parse_time("2017-10-09 10:15", now) == today + 36900);
  CHECK(parse_time("2017-10-09T10:15:04Z", now) == today + 36904);
  CHECK(parse_time("10:15", now) == today + 36900);
  CHECK(parse_time("-2h", now) == now - 7200);
  CHECK(parse_time("2h ago", now) == now - 7200);
  CHECK(parse_time("30 min ago", now) == now - 1800);
  CHECK(parse_time("1 week ago", now) == now - 604800);
  CHECK(parse_time("@1507507200", now) == 1507507200);
  CHECK(parse_time("now", now) == now);
  CHECK(parse_time("today", now) == today);
  CHECK(parse_time("yesterday", now) == today - 86400);
  CHECK(parse_time("yesterday 14:00", now) == today - 86400 + 50400);
  CHECK(parse_time("today 10:15", now) == today + 36900);
  CHECK(parse_time("10 minutes ago", now) == now - 600);
  CHECK(parse_time("2017-10-09T10:15:04.184022Z", now) == today + 36904);
  CHECK(parse_time("2017-10-09 10:15:04+02", now) == today + 36904 - 7200);
  CHECK(parse_time("2017-10-09T10:15+02:30", now) == today + 36900 - 9000);
  CHECK(parse_time("2017-10-09 10:15 -0500", now) == today + 36900 + 18000);
  constexpr std::int64_t kMicros = 1'000'000;
  CHECK(program::parse_time_us("2017-10-09 10:15:04.184022", now * kMicros) ==
        (today + 36904) * kMicros + 184022);
  CHECK(program::parse_time_us("@1507507200.5", now * kMicros) == today * kMicros + 500'000);
  CHECK(program::parse_time_us("2s ago", now * kMicros + 7) == (now - 2) * kMicros + 7);
  for (const char* text : {"",        "soon",       "25:00",       "10:60",
                           "1:00",    "2017-02-30", "2017-10-09x", "2017-10-09 ",
                           "-h",      "2 ago",      "2y ago",      "@",
                           "@x",      "--2h",       "10:15:",      "yesterdays",
                           "10:15+2", "10:15+02:",  "10:15:04.",   "2017-10-09+02"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_time(text, now));
  }
}

// Names, values and what peers say are printed by every command, in its own way.
TEST_CASE("terminal: nothing that any command prints steers it", "[command][security]") {
  const support::ScratchDir fleet;
  const std::string odd =
      "a\x1b[2J\xc2\x9b"
      "1m\xd8\x9c\xe2\x80\xae\xc3\xa4z";
  std::string many;  // more than any buffer, and characters at each of its edges
  for (int i = 0; i < 20'000; ++i) many += "\xe2\x82\xac";
  const auto spill = [&](const char* name, const std::string& text) {
    std::ofstream(fleet / name) << text;
  };
  spill("fleet.json", R"({"mirrors": [{"name": "edge*", "use": ["base.json"]}]})");
  const auto publish = [&](const std::string& table) {
    spill("base.json", R"({"tables": [{"table": "fox", "as": ")" + table + R"("}]})");
    REQUIRE(run(fmt::format("fleet {} publish -m '{}'", fleet.path().string(), odd)).code == 0);
  };
  publish(
      "first\xc2\x9b"
      "1m");
  publish("x" + many);
  const std::string path = fleet.path().string();
  std::string all;
  for (const char* arguments :
       {"fleet {} log", "fleet {} log --json", "fleet {} show edge7", "fleet {} diff 1 2"}) {
    CAPTURE(arguments);
    const std::string shown = on_terminal(fmt::format(fmt::runtime(arguments), path));
    CHECK_FALSE(shown.empty());
    for (const char* steers : {"\x1b", "\xc2\x9b", "\xd8\x9c", "\xe2\x80\xae"}) {
      CHECK(shown.find(steers) == std::string::npos);
    }
    all += shown;
  }
  CHECK(all.find(many) != std::string::npos);
  CHECK(all.find("\\x9b1m\\xd8\\x9c\\xe2\\x80\\xae\xc3\xa4z") != std::string::npos);
  // What is text for a person is that in a pipe, too.
  CHECK(run("fleet " + path + " log").out.find('\x1b') == std::string::npos);
}

TEST_CASE("terminal: colours of data are not those of the program", "[command][security]") {
  WrittenStream stream;
  {
    Writer writer = stream.writer();
    writer.mark(Lsn{0x1000}, {1, 1, {}});
    writer.append("_table\tfox\t_xid\t1\t_action\tinsert\ta\t\x1b[8mhidden\n" + commit(1));
    writer.flush();
  }
  const std::string path = stream.directory.path().string();
  CHECK(on_terminal("cat --format tsv " + path).find('\x1b') == std::string::npos);
  CHECK(on_terminal("cat " + path).find("\x1b[8m") == std::string::npos);
}
