// daystream split and merge: nothing lost, nothing twice, whatever is killed when.
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <sstream>

#include "daystream/error.h"
#include "stream_fixture.h"
#include "support/process.h"
#include "support/temp_dir.h"

using namespace daystream;
using namespace daystream::test;
using support::Process;

namespace {

const std::string kDaystreamProgram = DAYSTREAM_PROGRAM;

std::string schema_line(int xid, const std::string& table, int oid, const std::string& key = "1") {
  return fmt::format(
      "_table\t{}\t_xid\t{}\t_oid\t{}\t_identity\td\t_pkey\t{}\t_ikey\t{}\t_action\tschema\t"
      "id\t1 integer not null\tv\t2 text\n",
      table, xid, oid, key, key);
}

// A source of several days: inserts, updates, key changes, truncates of two tables, messages, a
// table that gets another name, one that is dropped, an aborted transaction and a gap.
struct Source : WrittenStream {
  explicit Source(unsigned seed = 1) : random(seed) {}

  // Transactions first … last; the stream goes on where it was.
  void write(int first, int last) {
    Writer writer = this->writer();
    if (writer.empty()) {
      writer.mark(Lsn{0x1000}, {1, 1, {{"tables", ""}}});
      writer.append(schema_line(1, "hens", 7001) + schema_line(1, "s.\"Odd/Name\"", 7002) +
                    commit(1));
    }
    for (int number = first; number <= last; ++number) {
      now += pick(4) == 0 ? 1 : 0;
      if (number % 97 == 0) now += 86400;
      if (number == 50) {
        writer.gap(lsn_of(49));
        writer.mark(Lsn{lsn_of(49).value + 1}, {1, 49, {{"tables", ""}}});
      }
      if (number == 60) {  // never committed
        for (int i = 0; i < 20; ++i) writer.append(row(60, i));
        writer.abort();
      }
      writer.append(lines_of(number) + commit(number));
      if (pick(10) == 0) writer.mark(lsn_of(number), {1, number + 1, {}});
    }
    writer.flush();
  }

  std::string lines_of(int number) {
    const std::string xid = fmt::format("\t_xid\t{}\t", number);
    if (number == 30) return schema_line(30, "cats", 7001);  // hens are called cats now
    if (number == 70) return fmt::format("_table\tcats{}_oid\t7001\t_action\tdrop\n", xid);
    if (number % 13 == 0) return fmt::format("_xid\t{}\t_action\tmessage\tprefix\tp\n", number);
    if (number % 17 == 0) {
      return "_table\tfox" + xid + "_action\ttruncate\n_table\thens" + xid + "_action\ttruncate\n";
    }
    std::string lines;
    const int rows = pick(12) == 0 ? 3000 : 1 + pick(6);
    for (int i = 0; i < rows; ++i) {
      static const char* const kTables[] = {"fox", "hens", "s.\"Odd/Name\"", "s.t"};
      const std::string head = std::string("_table\t") + kTables[pick(4)] + xid + "_action\t";
      switch (pick(4)) {
        case 0:
          lines += fmt::format("{}replace\tid\t{}\n{}update\tid\t{}\tv\tx\n", head, pick(50), head,
                               pick(50));
          break;
        case 1:
          lines += fmt::format("{}update\tid\t{}\tv\tup\n", head, pick(50));
          break;
        case 2:
          lines += fmt::format("{}delete\tid\t{}\n", head, pick(50));
          break;
        default:
          lines += fmt::format("{}insert\tid\t{}\tv\tnew\\n{}\n", head, pick(50), i);
      }
    }
    return lines;
  }

  int pick(int below) { return static_cast<int>(random() % static_cast<unsigned>(below)); }
  std::string path() const { return directory.path().string(); }

  std::mt19937 random;
};

// Runs to its end, killed as often as `kills` says, each time a little later.
void run_killed(const std::vector<std::string>& argv, std::mt19937& random, int kills) {
  for (int i = 0; i < kills; ++i) {
    Process process(argv);
    process.wait(std::chrono::milliseconds(random() % 40 + 2));
    if (process.running()) process.signal(SIGKILL);
    const auto exit = process.wait();
    INFO(process.err());
    REQUIRE((exit.signal == SIGKILL || exit.code == 0));
  }
  support::run_ok(argv);
}

// Transactions, and gaps as such, in order.
std::vector<std::string> story_of(const std::filesystem::path& directory) {
  Reader reader(directory, {});
  std::vector<std::string> all;
  while (Transaction* next = reader.next()) {
    if (next->kind() == Transaction::Kind::Gap) all.push_back("gap " + next->lsn().text());
    if (next->kind() == Transaction::Kind::Transaction) all.push_back(text_of(*next));
  }
  return all;
}

std::vector<std::filesystem::path> parts_of(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> parts;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.is_directory()) parts.push_back(entry.path());
  }
  return parts;
}

}  // namespace

TEST_CASE("split and merge: what was split and merged again is what it was", "[split]") {
  const auto by =
      GENERATE(as<std::vector<std::string>>(), std::vector<std::string>{"table"},
               std::vector<std::string>{"schema"}, std::vector<std::string>{"key", "--into", "3"},
               std::vector<std::string>{"table", "--into", "2"});
  const unsigned seed = std::random_device{}();
  CAPTURE(by, seed);
  Source source(seed);
  std::mt19937 random(seed);
  support::ScratchDir work;
  const std::string parts = (work.path() / "parts").string();
  const std::string whole = (work.path() / "whole").string();
  std::vector<std::string> split = {kDaystreamProgram, "split", source.path(), parts,
                                    "--once",          "--by"};
  split.insert(split.end(), by.begin(), by.end());
  const std::vector<std::string> merge = {kDaystreamProgram, "merge", parts,
                                          "--into",          whole,   "--once"};

  for (int batch = 0; batch < 3; ++batch) {
    source.write(batch * 60 + 2, batch * 60 + 61);
    run_killed(split, random, 2);
    run_killed(merge, random, 2);
    REQUIRE(story_of(whole) == story_of(source.path()));
  }
  for (const auto& part : parts_of(parts)) {
    support::run_ok({kDaystreamProgram, "verify", part.string()});
    const auto bounds = Stream(part).extent();
    REQUIRE(bounds);
    CHECK(bounds->last_lsn ==
          Stream(source.path()).extent()->last_lsn);  // marks bring all of them along
  }
  support::run_ok({kDaystreamProgram, "verify", whole});
}

TEST_CASE("split: by table, a part has the lines of its table and no other", "[split]") {
  Source source;
  source.write(2, 120);
  support::ScratchDir parts;
  support::run_ok({kDaystreamProgram, "split", source.path(), parts.path().string(), "--once"});
  std::set<std::string> names;
  for (const auto& part : parts_of(parts.path())) names.insert(part.filename().string());
  CHECK(names == std::set<std::string>{"fox", "hens", "cats", "s.%22Odd%2FName%22", "s.t"});

  Reader reader(parts.path() / "fox", {});
  std::size_t rows = 0;
  while (Transaction* transaction = reader.next()) {
    Line line;
    while (transaction->next_line(line)) {
      const Change change = parse_change(line.body);
      if (change.table.empty()) continue;  // a message
      CHECK(change.table == "fox");
      ++rows;
    }
  }
  const std::string wanted =
      support::run_ok({kDaystreamProgram, "cat", source.path(), "--tables", "fox", "--json"});
  std::size_t expected = 0;
  for (std::size_t at = wanted.find("\"_table\""); at != std::string::npos;
       at = wanted.find("\"_table\"", at + 1)) {
    ++expected;
  }
  CHECK(rows == expected);
  // The one that has another name now hears of it under both.
  CHECK(support::run_ok(
            {kDaystreamProgram, "cat", (parts.path() / "hens").string(), "--actions", "schema"})
            .find("_table\tcats") != std::string::npos);
  CHECK(Manifest::load(parts.path() / "fox").holdings.front().tables == "fox");
  CHECK(Manifest::load(parts.path() / "fox").system_identifier == test::source().system_identifier);
}

TEST_CASE("split: by table, into more parts than files may be open at first", "[split]") {
  constexpr int kTables = 60;
  WrittenStream source;
  {
    Writer writer = source.writer();
    writer.mark(Lsn{0x1000}, {1, 1, {{"tables", ""}}});
    std::string lines;
    for (int i = 0; i < kTables; ++i) {
      lines += fmt::format("_table\tt{}\t_xid\t2\t_action\tinsert\tid\t1\n", i);
    }
    writer.append(lines + commit(2));
    writer.flush();
  }
  support::ScratchDir parts;
  for (int start = 0; start < 2; ++start) {  // the second opens them all again
    support::run_ok({"/bin/sh", "-c", "ulimit -Sn 64 && exec \"$@\"", "sh", kDaystreamProgram,
                     "split", source.directory.path().string(), parts.path().string(), "--once"});
    CHECK(parts_of(parts.path()).size() == kTables);
  }
}

TEST_CASE("split: by key, rows of one key stay together and in order", "[split]") {
  Source source;
  source.write(2, 120);
  support::ScratchDir parts;
  support::run_ok({kDaystreamProgram, "split", source.path(), parts.path().string(), "--once",
                   "--by", "key", "--into", "3"});
  // Changes of rows that have this key, before or after.
  const auto history = [](const std::filesystem::path& directory) {
    const std::string lines = support::run_ok({kDaystreamProgram, "cat", directory.string(),
                                               "--where", "id=7", "--tables", "s.\"Odd/Name\""});
    std::string told;
    std::istringstream all(lines);
    for (std::string line; std::getline(all, line);) {
      const Change change = parse_change(line);
      if (change.table.empty()) continue;
      told += fmt::format("{} {} {}\n", change.xid, change.table, change.columns);
    }
    return told;
  };
  const std::string wanted = history(source.path());
  REQUIRE(!wanted.empty());
  int whole = 0;  // parts that have all of them, in the same order
  for (int i = 0; i < 3; ++i) {
    const std::string told = history(parts.path() / std::to_string(i));
    if (told == wanted) ++whole;
    CHECK(Manifest::load(parts.path() / std::to_string(i)).holdings.front().options.back() ==
          std::pair<std::string, std::string>("part", std::to_string(i) + "/3"));
  }
  CHECK(whole == 1);
}

TEST_CASE("split and merge: follow a stream that grows, through kills", "[split]") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  Source source(seed);
  std::mt19937 random(seed);
  source.write(2, 20);
  support::ScratchDir work;
  const std::string parts = (work.path() / "parts").string();
  const std::string whole = (work.path() / "whole").string();
  support::run_ok({kDaystreamProgram, "split", source.path(), parts, "--once"});
  const std::vector<std::string> split = {kDaystreamProgram, "split", source.path(), parts};
  const std::vector<std::string> merge = {kDaystreamProgram, "merge", parts, "--into", whole};
  std::optional<Process> splitting(split);
  std::optional<Process> merging(merge);
  for (int i = 1; i < 12; ++i) {
    source.write(i * 10 + 11, i * 10 + 20);
    (random() % 2 == 0 ? splitting : merging)->signal(SIGKILL);
    for (auto* process : {&splitting, &merging}) {
      process->reset();
      process->emplace(process == &splitting ? split : merge);
    }
  }
  const Lsn last = Stream(source.path()).extent()->last_lsn;
  REQUIRE(support::eventually([&] {
    if (!splitting->running() || !merging->running())
      throw Error(splitting->err() + merging->err());
    if (!std::filesystem::exists(whole)) return false;
    const auto bounds = Stream(whole).extent();
    return bounds && bounds->last_lsn >= last;
  }));
  CHECK(story_of(whole) == story_of(source.path()));
  splitting->signal(SIGTERM);
  merging->signal(SIGTERM);
  CHECK(splitting->wait().code == 0);
  CHECK(merging->wait().code == 0);
}

TEST_CASE("split and merge: any number of parts with few descriptors", "[split][limits]") {
  WrittenStream source;
  constexpr int kTables = 90;
  const auto insert = [](int number, int table, int id) {
    return fmt::format("_table\tt{}\t_xid\t{}\t_action\tinsert\tid\t{}\n", table, number, id);
  };
  int number = 1;
  const auto write = [&](int transactions) {
    Writer writer = source.writer();
    if (writer.empty()) writer.mark(Lsn{0x1000}, {1, 1, {{"tables", ""}}});
    for (const int last = number + transactions; number < last; ++number) {
      source.now += 1;
      std::string lines;
      if (number % 50 == 1) {  // for all of them, with a table that is renamed in the middle
        for (int i = 0; i < 3 * kTables; ++i) {
          lines += insert(number, i * 7 % kTables, i);
          if (i == 100) lines += schema_line(number, fmt::format("new{}", number), 7001);
        }
      } else {
        lines = insert(number, number * 31 % kTables, number);
      }
      if (number % 40 == 0) lines = fmt::format("_xid\t{}\t_action\tmessage\tprefix\tp\n", number);
      writer.append(lines + commit(number));
    }
    writer.flush();
  };
  support::ScratchDir work;
  const std::string parts = (work.path() / "parts").string();
  const std::string whole = (work.path() / "whole").string();
  const std::vector<std::string> few = {"prlimit", "--nofile=64:64", kDaystreamProgram};
  const auto run_with_few = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), few.begin(), few.end());
    support::run_ok(arguments);
  };
  for (int batch = 0; batch < 2; ++batch) {
    write(120);
    run_with_few({"split", source.directory.path(), parts, "--once"});
    run_with_few({"merge", parts, "--into", whole, "--once"});
    REQUIRE(story_of(whole) == story_of(source.directory.path()));
  }
  CHECK(parts_of(parts).size() > static_cast<std::size_t>(kTables));
  for (const auto& part : parts_of(parts)) {
    support::run_ok({kDaystreamProgram, "verify", part.string()});
  }
}

TEST_CASE("split: what is learned of a table is added to a file, not written with all before it",
          "[split]") {
  Source source;
  source.write(2, 40);
  support::ScratchDir work;
  const std::string parts = (work.path() / "parts").string();
  const std::vector<std::string> split = {
      kDaystreamProgram, "split", source.path(), parts, "--by", "key", "--into", "3", "--once"};
  support::run_ok(split);
  const auto inode = [&](const char* name) {
    struct stat found {};
    REQUIRE(stat((std::filesystem::path(parts) / name).c_str(), &found) == 0);
    return found.st_ino;
  };
  const auto catalog = inode("split.json");
  const std::string tables = support::read_file(parts + "/split.tables");
  CHECK(std::count(tables.begin(), tables.end(), '\n') == 3);  // two, and one that is renamed
  source.write(41, 120);
  support::run_ok(split);
  CHECK(inode("split.json") == catalog);
  const auto whole_of = [&](const std::string& name) {
    const std::string whole = (work.path() / name).string();
    support::run_ok({kDaystreamProgram, "merge", parts, "--into", whole, "--once"});
    return story_of(whole);
  };
  CHECK(whole_of("one") == story_of(source.path()));

  // A split that an earlier version made has the tables in split.json.
  nlohmann::ordered_json old =
      nlohmann::ordered_json::parse(support::read_file(parts + "/split.json"));
  CHECK_FALSE(old.contains("schemas"));
  old["schemas"] = nlohmann::ordered_json::array();
  std::istringstream lines(support::read_file(parts + "/split.tables"));
  for (std::string line; std::getline(lines, line);) {
    old["schemas"].push_back(nlohmann::ordered_json::parse(line));
  }
  support::write_file(parts + "/split.json", old.dump());
  std::filesystem::remove(parts + "/split.tables");
  source.write(121, 200);
  support::run_ok(split);
  CHECK(whole_of("other") == story_of(source.path()));

  // A line that a crash cut short is none.
  support::write_file(parts + "/split.tables",
                      support::read_file(parts + "/split.tables") + "{\"lsn\": \"0/1");
  source.write(201, 260);
  support::run_ok(split);
  CHECK(whole_of("third") == story_of(source.path()));
  // None at all is damage: where rows of a known table go would not be known.
  std::filesystem::remove(parts + "/split.tables");
  const auto lost = support::run(split);
  CHECK(lost.exit.code == 3);
  CHECK_THAT(lost.err, Catch::Contains("split.tables"));
}

TEST_CASE("split and merge: refuse what cannot be right", "[split]") {
  Source source;
  source.write(2, 10);
  support::ScratchDir work;
  const auto dir = [&](const char* name) { return (work.path() / name).string(); };
  support::run_ok({kDaystreamProgram, "split", source.path(), dir("parts"), "--once"});
  const auto check = [](const std::vector<std::string>& argv, int code, const std::string& text) {
    CAPTURE(argv);
    const auto result = support::run(argv);
    CHECK(result.exit.code == code);
    CHECK_THAT(result.err, Catch::Contains(text));
  };
  check({kDaystreamProgram, "split", source.path(), dir("parts"), "--by", "schema", "--once"}, 2,
        "is split by table");
  check({kDaystreamProgram, "split", source.path(), source.path(), "--once"}, 2,
        "is a daystream itself\nHINT: ");
  check({kDaystreamProgram, "split", source.path(), dir("parts/fox"), "--once"}, 2,
        "is a daystream itself\nHINT: ");
  check({kDaystreamProgram, "merge", source.path(), "--into", source.path(), "--once"}, 2,
        "it is the source");
  check({kDaystreamProgram, "merge", dir("parts"), "--into", dir("parts/whole"), "--once"}, 2,
        "it is among the parts in");
  check({kDaystreamProgram, "split", source.path(), dir("k"), "--by", "key", "--once"}, 2,
        "needs --into");
  WrittenStream other;
  Manifest manifest = test::source();
  manifest.system_identifier = "7000000000000000002";
  {
    Writer writer(other.directory.path(), manifest, std::nullopt, other.options());
    writer.mark(Lsn{1}, {1, 1, {}});
    writer.flush();
  }
  check({kDaystreamProgram, "split", other.directory.path().string(), dir("parts"), "--once"}, 3,
        "is of another cluster (system identifier 7000000000000000001) than daystream");
  // Parts are of one database, and what is of several has no parts.
  check({kDaystreamProgram, "merge", dir("parts"), other.directory.path().string(), "--into",
         dir("m")},
        2, "holds the parts of a split");
  // One writer: a second split of the same parts is turned away.
  Process first({kDaystreamProgram, "split", source.path(), dir("parts")});
  REQUIRE(support::eventually([&] {
    return support::run_ok({kDaystreamProgram, "info", dir("parts/fox")}).find("(pid ") !=
           std::string::npos;
  }));
  check({kDaystreamProgram, "split", source.path(), dir("parts"), "--once"}, 1,
        "is in use by daystream");
}
