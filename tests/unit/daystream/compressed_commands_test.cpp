// Every command says of compressed days what it says of plain ones.
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "stream_fixture.h"
#include "support/process.h"

using namespace daystream;
using namespace daystream::test;

namespace {

const std::string kProgram = DAYSTREAM_PROGRAM;

// Five days of `hens` and `foxes`; their keys are told on the first only.
struct Week : WrittenStream {
  Week() {
    Writer writer = this->writer();
    writer.mark(Lsn{0x1000}, {1, 1, {{"tables", ""}}});
    writer.append(schema("hens", 7) + schema("foxes", 8) + commit(1));
    for (int number = 2; number <= 60; ++number) {
      if (number % 12 == 0) now += 86400;
      std::string lines;
      for (const char* table : {"hens", "foxes"}) {
        const std::string head = fmt::format("_table\t{}\t_xid\t{}\t_action\t", table, number);
        lines += fmt::format("{}insert\tid\t{}\tv\t{}\n", head, number, number % 5);
        lines += fmt::format("{}update\tid\t2\tv\t{}\n", head, number);
        if (number % 7 == 0) lines += fmt::format("{}delete\tid\t{}\n", head, number - 1);
      }
      writer.append(lines + commit(number));
    }
    writer.flush();
  }
  static std::string schema(const std::string& table, int oid) {
    return fmt::format(
        "_table\t{}\t_xid\t1\t_oid\t{}\t_identity\td\t_pkey\t1\t_ikey\t1\t_action\tschema\t"
        "id\t1 integer not null\tv\t2 text\n",
        table, oid);
  }
  std::string path() const { return directory.path().string(); }
};

}  // namespace

TEST_CASE("commands: compressed days are told as plain ones are", "[packed][command]") {
  const Week week;
  support::ScratchDir work;
  const std::string last_day = Position{week.now, 0}.day();
  const std::vector<std::vector<std::string>> commands = {
      {"cat"},
      {"cat", "--format=sql"},
      {"cat", "--since", last_day, "--format=sql"},  // keys from days before
      {"cat", "--where", "id=30"},
      {"cat", "--tables", "hens", "--actions", "delete"},
      {"tail", "-n", "40", "--tables", "foxes"},
      {"log", "--table", "hens", "--key", "2"},
      {"log", "--table", "hens", "--key", "20", "--since", last_day},
      {"log", "--table", "foxes", "--key", "id=41"},
      {"info", "--tables"},
      {"info", "--tables", "--since", last_day, "--json"},
  };
  int round = 0;
  const auto told = [&] {
    std::vector<std::string> all;
    for (std::vector<std::string> command : commands) {
      command.insert(command.begin(), kProgram);
      command.insert(command.begin() + 2, week.path());
      const auto result = support::run(command);
      all.push_back(result.out + result.err);
      CHECK(result.exit.code == 0);
    }
    const std::string parts = (work.path() / ("parts" + std::to_string(++round))).string();
    support::run_ok(
        {kProgram, "split", week.path(), parts, "--once", "--by", "key", "--into", "2"});
    for (const char* part : {"/0", "/1"}) {
      all.push_back(support::run_ok({kProgram, "cat", parts + part}));
    }
    support::run_ok({kProgram, "merge", parts, "--into", parts + "-whole", "--once"});
    all.push_back(support::run_ok({kProgram, "cat", parts + "-whole"}));
    return all;
  };
  const std::vector<std::string> plain = told();
  const std::string said = support::run_ok({kProgram, "compress", week.path(), "--json"});
  const auto first = nlohmann::json::parse(said.substr(0, said.find('\n')));
  CHECK(first["action"] == "compressed");
  CHECK(first["file"] == "2017-10-09.tsv");
  CHECK(first["stored_bytes"] < first["size_bytes"]);
  CHECK(support::run_ok({kProgram, "compress", week.path(), "--json"}).empty());
  const std::vector<std::string> packed = told();
  REQUIRE(plain.size() == packed.size());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    CAPTURE(i);
    CHECK(packed[i] == plain[i]);
    CHECK(plain[i].size() > 20);
  }
  const std::string info = support::run_ok({kProgram, "info", week.path()});
  CHECK_THAT(info, Catch::Contains("2017-10-09.tsv.zst") && Catch::Contains("on disk") &&
                       Catch::Contains(last_day + ".tsv "));
}
