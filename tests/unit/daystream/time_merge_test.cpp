// daystream merge of different databases: in commit-time order, exactly once, whatever is killed.
#include <signal.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <optional>
#include <random>
#include <sstream>

#include "daystream/error.h"
#include "daystream/proven_time.h"
#include "stream_fixture.h"
#include "support/process.h"

using namespace daystream;
using namespace daystream::test;
using support::Process;

namespace {

const std::string kProgram = DAYSTREAM_PROGRAM;

// The stream of a database of its own cluster: east, west.
struct Land {
  explicit Land(std::string called) : name(std::move(called)) {
    Writer first = writer();
    first.mark(Lsn{0x100}, {1, 500, {{"tables", ""}}, {}});
    first.append(
        "_table\tfox\t_xid\t1\t_oid\t7\t_identity\td\t_pkey\t1\t_ikey\t\t_action\tschema\t"
        "a\t1 text not null\tb\t2 text\n" +
        end(1, kNoon * 1'000'000));
    first.flush();
  }

  Writer writer() {
    Manifest manifest;
    manifest.name = name;
    manifest.system_identifier = name == "east" ? "7000000000000000001" : "7000000000000000002";
    manifest.database = name + "land";
    manifest.slot = "s";
    WriterOptions options;
    options.clock = [this](std::int64_t) { return now; };
    options.day_mark = [] { return MarkFacts{1, 500, {}, {}}; };
    return Writer(directory.path(), manifest, std::nullopt, std::move(options));
  }
  std::string end(int number, std::int64_t time_us) const {
    return fmt::format("_xid\t{}\t_lsn\t0/{:X}\t_next\t{}\t_time\t{}.{:06}\t_action\tcommit",
                       number, 0x1000 + number * 16, number + 1, time_us / 1'000'000,
                       time_us % 1'000'000);
  }
  // "Nothing of mine is missing before now."
  void mark(Writer& writer) const {
    writer.mark(writer.last_lsn(),
                {std::nullopt, std::nullopt, {}, {proven_time_field(now * 1'000'000)}});
  }
  // A row of the table that both have, committed `after_us` after noon.
  void write(Writer& writer, int number, std::int64_t after_us, int rows = 1) {
    const std::int64_t time_us = kNoon * 1'000'000 + after_us;
    now = std::max(now, time_us / 1'000'000);
    std::string lines;
    for (int n = 0; n < rows; ++n) {
      lines += fmt::format("_table\tfox\t_xid\t{}\t_action\tinsert\ta\t{}{}.{}\tb\t_action\n",
                           number, name, number, n);
    }
    lines += fmt::format("_xid\t{}\t_action\tmessage\tprefix\tp\tcontent\t{}\n", number, name);
    writer.append(lines + end(number, time_us));
  }
  std::string path() const { return directory.path().string(); }

  support::ScratchDir directory;
  std::string name;
  std::int64_t now = kNoon;
};

std::vector<std::string> merge_of(const Land& one, const Land& other, const std::string& into) {
  return {kProgram, "merge", one.path(), other.path(), "--into", into, "--once"};
}

// Its transactions and gaps as they came, marks left out.
std::vector<std::string> story_of(const std::filesystem::path& directory) {
  Reader reader(directory, {});
  std::vector<std::string> all;
  while (Transaction* next = reader.next()) {
    if (next->kind() != Transaction::Kind::Mark) all.push_back(text_of(*next));
  }
  return all;
}

// "east 2, west 3, …": whose transaction came when.
std::string order_of(const std::filesystem::path& directory) {
  Reader reader(directory, {});
  std::string order;
  while (Transaction* next = reader.next()) {
    if (next->kind() == Transaction::Kind::Mark) continue;
    std::string_view key;
    std::string_view value;
    std::string source;
    for (FieldCursor cursor(next->end().leading_fields); cursor.next(key, value);) {
      if (key == "_source") source = value;
    }
    order += (order.empty() ? "" : ", ") + source;
    order += next->kind() == Transaction::Kind::Gap ? " gap" : fmt::format(" {}", next->end().xid);
  }
  return order;
}

}  // namespace

TEST_CASE("time merge: commits of two databases, in the order of their times", "[merge]") {
  Land east("east");
  Land west("west");
  support::ScratchDir work;
  const std::string into = (work.path() / "all").string();
  {
    Writer a = east.writer();
    Writer b = west.writer();
    east.write(a, 2, 100);
    west.write(b, 2, 50, 3);
    west.write(b, 3, 150);
    east.write(a, 3, 90);  // its clock went back: it stays where it was
    a.flush();
    b.flush();
  }
  support::run_ok(merge_of(east, west, into));
  // West has come to 150 only, so that is as far as is known.
  CHECK(order_of(into) == "east 1, west 1, west 2, east 2, east 3");
  {
    Writer a = east.writer();
    Writer b = west.writer();
    east.now += 2;
    east.mark(a);  // nothing more of it before two seconds past noon
    a.flush();
    west.write(b, 4, 1'999'999);
    west.write(b, 5, 2'000'001);
    b.flush();
  }
  support::run_ok(merge_of(east, west, into));
  CHECK(order_of(into) == "east 1, west 1, west 2, east 2, east 3, west 3, west 4");
  const std::vector<std::string> story = story_of(into);
  CHECK(story[2] ==
        fmt::format("_table\tfox\t_xid\t2\t_source\twest\t_action\tinsert\ta\twest2.0\tb\t_action\n"
                    "_table\tfox\t_xid\t2\t_source\twest\t_action\tinsert\ta\twest2.1\tb\t_action\n"
                    "_table\tfox\t_xid\t2\t_source\twest\t_action\tinsert\ta\twest2.2\tb\t_action\n"
                    "_xid\t2\t_source\twest\t_action\tmessage\tprefix\tp\tcontent\twest\n"
                    "_xid\t2\t_lsn\t{}\t_source_next\t3\t_time\t{}.000050\t_source\twest"
                    "\t_source_c\t{}\t_source_s\t4\t_source_lsn\t0/1020\t_action\tcommit",
                    Lsn{kNoon * 1'000'000 + 50}.text(), kNoon, kNoon + 1));
  support::run_ok({kProgram, "verify", into});
  const Manifest manifest = Manifest::load(into);
  CHECK(manifest.system_identifier.empty());
  REQUIRE(manifest.sources.size() == 2);
  CHECK(manifest.sources[0].name == "east");
  CHECK(manifest.sources[1].database == "westland");
}

TEST_CASE("time merge: killed anywhere it goes on, everything exactly once", "[merge]") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  Land east("east");
  Land west("west");
  support::ScratchDir work;
  const std::string killed = (work.path() / "killed").string();
  const std::string whole = (work.path() / "whole").string();
  int numbers[] = {1, 1};
  std::int64_t time_us = 0;
  for (int batch = 0; batch < 6; ++batch) {
    {
      Writer a = east.writer();
      Writer b = west.writer();
      for (int i = 0; i < 60; ++i) {
        time_us += random() % 400'000;
        if (i == 30) time_us += 43'000'000'000;  // half a day
        const bool is_east = random() % 2 == 0;
        (is_east ? east : west)
            .write(is_east ? a : b, ++numbers[is_east ? 0 : 1], time_us,
                   random() % 10 == 0 ? 2000 : 2);
        if (random() % 10 == 0) east.mark(a);
        if (batch == 3 && i == 20) b.gap(b.last_lsn());
      }
      // Both are as far now.
      east.now = west.now = std::max(east.now, west.now) + 1;
      east.mark(a);
      west.mark(b);
      a.flush();
      b.flush();
    }
    for (int i = 0; i < 4; ++i) {
      Process process(merge_of(east, west, killed));
      process.wait(std::chrono::milliseconds(random() % 40 + 2));
      if (process.running()) process.signal(SIGKILL);
      const auto exit = process.wait();
      INFO(process.err());
      REQUIRE((exit.signal == SIGKILL || exit.code == 0));
    }
    support::run_ok(merge_of(east, west, killed));
  }
  support::run_ok(merge_of(east, west, whole));
  const auto story = story_of(killed);
  CHECK(story == story_of(whole));
  CHECK(story.size() == static_cast<std::size_t>(numbers[0] + numbers[1] + 1));
  support::run_ok({kProgram, "verify", killed});
}

TEST_CASE("time merge: a gap of one is told once", "[merge]") {
  Land east("east");
  Land west("west");
  support::ScratchDir work;
  const std::string into = (work.path() / "all").string();
  {
    Writer a = east.writer();
    Writer b = west.writer();
    east.write(a, 2, 100);
    west.write(b, 2, 50);
    b.gap(b.last_lsn());
    east.now += 1;
    east.mark(a);
    a.flush();
    b.flush();
  }
  for (int i = 0; i < 3; ++i) {
    support::run_ok(merge_of(i == 1 ? west : east, i == 1 ? east : west, into));  // in any order
    CHECK(order_of(into) == "east 1, west 1, west 2, west gap");
  }
  {
    Writer b = west.writer();
    west.now += 1;
    west.mark(b);
    b.flush();
  }
  support::run_ok(merge_of(east, west, into));
  CHECK(order_of(into) == "east 1, west 1, west 2, west gap, east 2");
}

TEST_CASE("time merge: the tools know the sources apart", "[merge]") {
  Land east("east");
  Land west("west");
  support::ScratchDir work;
  const std::string into = (work.path() / "all").string();
  {
    Writer a = east.writer();
    Writer b = west.writer();
    east.write(a, 2, 100);
    west.write(b, 2, 50);
    east.now = west.now = kNoon + 10;
    east.mark(a);
    west.mark(b);
    a.flush();
    b.flush();
  }
  support::run_ok(
      {kProgram, "merge", "o=" + east.path(), "w=" + west.path(), "--into", into, "--once"});
  const std::string lines = support::run_ok({kProgram, "cat", into, "--source", "w"});
  CHECK_THAT(lines, Catch::Contains("west2.0") && !Catch::Contains("east2.0"));
  CHECK_THAT(support::run_ok(
                 {kProgram, "log", into, "--source", "o", "--table", "fox", "--key", "east2.0"}),
             Catch::Contains("insert"));
  CHECK_THAT(support::run_ok({kProgram, "cat", into, "--source", "o", "--format=sql"}),
             Catch::Contains("INSERT INTO public.fox"));
  CHECK_THAT(support::run_ok({kProgram, "tail", into, "-n", "1", "--format=text"}),
             Catch::StartsWith("2017-10-09T12:00:00.000100Z  xid 2") && Catch::Contains("  o\n"));
  CHECK_THAT(support::run_ok({kProgram, "info", into}),
             Catch::Contains("\"o\": database \"eastland\" of system"));
  support::run_ok({kProgram, "consume", into, "--checkpoint", (work.path() / "at").string(),
                   "--batch", "--once", "--", "cat"});

  const auto check = [](const std::vector<std::string>& argv, int code, const std::string& text) {
    CAPTURE(argv);
    const auto result = support::run(argv);
    CHECK(result.exit.code == code);
    CHECK_THAT(result.err, Catch::Contains(text));
  };
  check({kProgram, "log", into, "--table", "fox", "--key", "1"}, 2, "say which: --source o, w");
  check({kProgram, "cat", into, "--format=sql"}, 2, "is merged of several databases");
  check({kProgram, "cat", into, "--source", "x"}, 2, "no source of daystream");
  check({kProgram, "cat", east.path(), "--source", "x"}, 2, "is of one database");
  check({kProgram, "split", into, (work.path() / "parts").string(), "--once"}, 3,
        "is merged of several databases: \"o\", \"w\"");
  check({kProgram, "merge", into, east.path(), "--into", (work.path() / "m").string()}, 3,
        "is merged of several databases");
  check({kProgram, "merge", east.path(), west.path(), "--into", into, "--once"}, 3,
        "is merged of \"o\"");
  check({kProgram, "merge", "a=" + east.path(), "a=" + west.path(), "--into", into, "--once"}, 2,
        "two inputs are called \"a\"");
}

TEST_CASE("time merge: FORMAT.md's worked bytes are what it writes", "[merge][format][golden]") {
  support::ScratchDir work;
  const auto write = [&](const std::string& name, const std::string& lines,
                         const std::string& end) {
    Manifest manifest;
    manifest.name = name;
    manifest.system_identifier = name;
    WriterOptions options;
    std::int64_t now = 1507507200;
    options.clock = [&now](std::int64_t) { return now; };
    options.day_mark = [] { return MarkFacts{1, 700, {}, {}}; };
    Writer writer(work.path() / name, manifest, std::nullopt, options);
    writer.mark(Lsn{0x17B1400}, {1, 700, {{"tables", ""}}, {}});
    writer.append(lines + "\n" + end);
    ++now;
    if (name == "west") {
      writer.mark(writer.last_lsn(), {1, std::nullopt, {}, {proven_time_field(now * 1'000'000)}});
    }
    writer.flush();
  };
  write("east", "_table\tzzz\t_xid\t700\t_action\tinsert\ta\tfox54",
        "_xid\t700\t_lsn\t0/17B1480\t_next\t701\t_time\t1507507200.184022\t_action\tcommit");
  write("west", "_table\tzzz\t_xid\t700\t_action\tdelete\ta\tfox11",
        "_xid\t700\t_lsn\t0/17B1500\t_next\t701\t_time\t1507507200.184001\t_action\tcommit");
  const std::string into = (work.path() / "all").string();
  support::run_ok({kProgram, "merge", (work.path() / "east").string(),
                   (work.path() / "west").string(), "--into", into, "--once"});
  const std::string text = slurp(std::filesystem::path(SOURCE_ROOT) / "daystream/FORMAT.md");
  const std::string marker = "<!-- merged -->\n```\n";
  const auto begin = text.find(marker) + marker.size();
  CHECK(slurp(into + "/2017-10-09.tsv") == text.substr(begin, text.find("```", begin) - begin));
}
