// FORMAT.md is a promise: its worked bytes are what the Writer writes and the Reader reads, and its
// plain Tcl reader reads them.
#include <stdio.h>

#include <catch2/catch.hpp>
#include <sstream>

#include "daystream/durable.h"
#include "daystream/error.h"
#include "daystream/housekeeping.h"
#include "stream_fixture.h"
#include "support/catch2_positions.h"

using namespace daystream;
using namespace daystream::test;

namespace {

const std::filesystem::path kRoot = SOURCE_ROOT;

// The fenced block of FORMAT.md that follows `<!-- NAME -->`, tabs as they are.
std::string block(const std::string& name) {
  const std::string text = slurp(kRoot / "daystream/FORMAT.md");
  const std::string marker = "<!-- " + name + " -->\n```";
  const auto at = text.find(marker);
  REQUIRE(at != std::string::npos);
  const auto begin = text.find('\n', at + marker.size()) + 1;
  return text.substr(begin, text.find("```", begin) - begin);
}

// What FORMAT.md tells: two days of a small stream.
void write_worked_example(const std::filesystem::path& directory) {
  std::int64_t now = 1507507200;
  WriterOptions options;
  options.clock = [&now](std::int64_t) { return now; };
  options.day_mark = [] { return MarkFacts{1, 88628930, {}}; };
  Manifest manifest = source();
  manifest.name = "prod";
  Writer writer(directory, manifest, std::nullopt, options);
  writer.declare_holding({{}, "zzz", {}});
  writer.mark(Lsn{0x17B1400}, {1, 88628920, {{"tables", "zzz"}}});
  writer.append(
      "_table\tzzz\t_xid\t88628920\t_action\tdelete\ta\tfox54\n"
      "_table\tzzz\t_xid\t88628920\t_action\treplace\ta\tfox11\n"
      "_table\tzzz\t_xid\t88628920\t_action\tupdate\ta\tfox54\tb\then93\n"
      "_xid\t88628920\t_lsn\t0/"
      "17B1480\t_next\t88628925\t_time\t1507507200.184022\t_action\tcommit");
  now += 1;
  writer.append(
      "_table\tzzz\t_xid\t88628922\t_action\tupdate\ta\tfox68\tb\t\\N\n"
      "_xid\t88628922\t_lsn\t0/"
      "17B1520\t_next\t88628926\t_time\t1507507201.000310\t_action\tcommit");
  writer.flush();
  now += 86400;
  writer.append(
      "_table\tzzz\t_xid\t88628924\t_action\tinsert\ta\tfox70\tb\ttab\\there, \\\\N is text\n"
      "_xid\t88628924\t_lsn\t0/"
      "17B15C8\t_next\t88628931\t_time\t1507593600.501000\t_action\tcommit");
  writer.flush();
}

std::string output_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  for (int c = fgetc(pipe); c != EOF; c = fgetc(pipe)) text += static_cast<char>(c);
  INFO(command << "\n" << text);
  REQUIRE(pclose(pipe) == 0);
  return text;
}

}  // namespace

TEST_CASE("format: the worked bytes are what the Writer writes", "[format][golden]") {
  support::ScratchDir directory;
  write_worked_example(directory.path());
  CHECK(slurp(directory / "2017-10-09.tsv") == block("2017-10-09.tsv"));
  CHECK(slurp(directory / "2017-10-10.tsv") == block("2017-10-10.tsv"));
  CHECK(slurp(directory / "durable") == block("durable"));
}

TEST_CASE("format: the worked index is what compressing writes", "[format][packed][golden]") {
  support::ScratchDir directory;
  write_worked_example(directory.path());
  HousekeepingRules rules;
  rules.compress = kDefaultCompression;
  REQUIRE(Housekeeping(directory.path(), rules).step(std::nullopt, [] { return false; }));
  const std::string packed = slurp(directory / "2017-10-09.tsv.zst");
  const std::string index = block("index");
  REQUIRE(packed.size() > index.size() + 8);
  CHECK(packed.substr(packed.size() - index.size()) == index);
  // The skippable frame's header: its magic number and the size of the index.
  const std::string header("\x5D\x2A\x4D\x18\x40\x01\x00\x00", 8);
  CHECK(packed.substr(packed.size() - index.size() - 8, 8) == header);
  CHECK(output_of("zstd -dc '" + (directory / "2017-10-09.tsv.zst").string() + "'") ==
        block("2017-10-09.tsv"));
}

TEST_CASE("format: files of the first version read the same forever", "[format][golden]") {
  support::ScratchDir directory;
  for (const char* name : {"daystream.json", "2017-10-09.tsv", "2017-10-10.tsv", "durable"}) {
    std::filesystem::copy(kRoot / "tests/golden/daystream-1" / name, directory / name);
  }
  Reader reader(directory.path(), {});
  CHECK(reader.manifest().holdings.front().tables == "zzz");
  std::vector<std::string> kinds;
  while (Transaction* next = reader.next()) {
    kinds.push_back(fmt::format("{} {} {}", next->position().text(),
                                action_name(next->end().action), next->line_count()));
  }
  CHECK(kinds == std::vector<std::string>{"1507507200/0 mark 0", "1507507200/4 commit 3",
                                          "1507507201/1 commit 1", "1507593601/0 mark 0",
                                          "1507593601/2 commit 1"});
  CHECK(reader.lsn() == Lsn{0x17B15C8});
}

TEST_CASE("format: the plain Tcl reader reads them", "[format][tcl]") {
  support::ScratchDir directory;
  write_worked_example(directory.path());
  spill(directory / "reader.tcl", block("reader.tcl"));
  const std::string text = output_of("tclsh '" + (directory / "reader.tcl").string() + "' '" +
                                     directory.path().string() + "' 2>&1");
  CHECK(text ==
        "1507507200/4 zzz delete {a fox54} {}\n"
        "1507507200/4 zzz update {a fox11} {a fox54 b hen93}\n"
        "1507507201/1 zzz update {} {a fox68 b NULL}\n"
        "1507593601/2 zzz insert {} {a fox70 b {tab\there, \\N is text}}\n");
}
