// The tools beside a PostgreSQL at work: a consumer that is killed, streams of several slots.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <random>
#include <sstream>

#include "../pipeline/pipeline.h"

using namespace pipeline;
using support::eventually;
using support::program;
using support::run_ok;

namespace {

// Notes the id of each inserted row and, when its commit line is there, acknowledges it. Before
// that, it writes down who it is.
constexpr const char* kNote = R"sh(
echo $$ > "$2"
tab=$(printf '\t')
while IFS=$tab read -r c seconds s number rest; do
  case "$rest" in
    *_action*commit) printf '%s/%s\n' "$seconds" "$number" ;;
    *_action*insert*) printf '%s\n' "${rest##*id$tab}" >> "$1" ;;
  esac
done)sh";

std::vector<int> numbers_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<int> numbers;
  for (int number = 0; file >> number;) numbers.push_back(number);
  return numbers;
}

}  // namespace

TEST_CASE("consume: beside a server at work, killed at random, nothing is missed",
          "[tools][consume]") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  constexpr int kWindow = 4;
  Pipeline p;
  p.execute("CREATE TABLE foxes (id int PRIMARY KEY)");
  p.start_stream();
  const auto noted = p.folder() / "noted";
  const auto who = p.folder() / "who";
  Process::Options options;
  options.own_group = true;
  const std::vector<std::string> argv = {program("daystream"),
                                         "consume",
                                         p.daystream().string(),
                                         "--checkpoint",
                                         (p.folder() / "at").string(),
                                         "--window",
                                         std::to_string(kWindow),
                                         "--follow",
                                         "--",
                                         "sh",
                                         "-c",
                                         kNote,
                                         "sh",
                                         noted.string(),
                                         who.string()};
  int foxes = 0;
  const auto insert = [&](int count) {
    for (int i = 0; i < count; ++i) {
      p.execute(fmt::format("INSERT INTO foxes VALUES ({})", ++foxes));
    }
  };
  std::vector<std::size_t> starts;
  for (int round = 0; round < 12; ++round) {
    std::filesystem::remove(who);
    starts.push_back(numbers_in(noted).size());
    Process consume(argv, options);
    REQUIRE(eventually([&] { return !numbers_in(who).empty() || !consume.running(); }));
    INFO(consume.err());
    REQUIRE(consume.running());
    insert(1 + static_cast<int>(random() % 8));
    consume.wait(std::chrono::milliseconds(random() % 20));
    if (round % 2 == 0) {
      consume.signal_group(SIGKILL);
      CHECK(consume.wait().signal == SIGKILL);
    } else {
      kill(numbers_in(who).front(), SIGKILL);  // its command alone
      CHECK(consume.wait().code == 1);
    }
  }
  insert(5);
  starts.push_back(numbers_in(noted).size());
  Process last(argv, options);
  REQUIRE(eventually([&] {
    if (!last.running()) throw std::runtime_error(last.err());
    const auto all = numbers_in(noted);
    return !all.empty() && all.back() == foxes;
  }));
  last.signal(SIGTERM);
  CHECK(last.wait() == support::Exit{0, 0});
  int expected = 1;
  std::size_t next_start = 0;
  const std::vector<int> all = numbers_in(noted);
  for (std::size_t i = 0; i < all.size(); ++i) {
    while (next_start < starts.size() && starts[next_start] <= i) {
      CHECK(all[i] <= expected);
      CHECK(all[i] >= expected - kWindow - 1);
      expected = all[i];
      ++next_start;
    }
    REQUIRE(all[i] == expected);
    ++expected;
  }
  CHECK(expected == foxes + 1);
}

TEST_CASE("merge: streams of two slots of one database are one stream again", "[tools][merge]") {
  Pipeline p;
  p.execute(
      "CREATE TABLE foxes (id int PRIMARY KEY, name text);"
      "CREATE TABLE hens (id int PRIMARY KEY, name text)");
  p.start_stream({"--tables", "foxes"});
  const std::string hens = (p.folder() / "hens").string();
  const std::string whole = (p.folder() / "whole").string();
  Process other({program("deltastream"), "-d", p.conninfo(), "-S", "hens", "-D", hens,
                 "--create-slot", "--tables", "hens"});
  REQUIRE(eventually([&] { return std::filesystem::exists(hens + "/durable"); }));
  Process merge({program("daystream"), "merge", p.daystream().string(), hens, "--into", whole});
  // Both are past where the output begins, so a seed can be too.
  p.execute("INSERT INTO foxes VALUES (0, 'first'); INSERT INTO hens VALUES (0, 'first')");
  REQUIRE(eventually([&] {
    if (!merge.running()) throw std::runtime_error(merge.err());
    return std::filesystem::exists(whole + "/durable");
  }));
  const std::string mirror = p.mirror().string();
  run_ok({program("deltamirror"), "seed", mirror, "-d", p.conninfo(), "--daystream", whole,
          "--table", "foxes", "--table", "hens"});
  for (int i = 1; i <= 30; ++i) {
    p.execute(
        fmt::format("BEGIN; INSERT INTO foxes VALUES ({0}, 'fox'); INSERT INTO hens VALUES ({0}, "
                    "'hen'); COMMIT;"
                    "UPDATE {1} SET name = name || '!' WHERE id <= {0}",
                    i, i % 2 == 0 ? "foxes" : "hens"));
    if (i % 10 == 0) {
      merge.signal(SIGKILL);
      merge.wait();  // until it is gone the output is still its own
      merge =
          Process({program("daystream"), "merge", p.daystream().string(), hens, "--into", whole});
    }
  }
  run_ok({program("deltamirror"), "run", mirror, "--daystream", whole, "--until-lsn",
          p.scalar("SELECT pg_current_wal_lsn()")});
  INFO(merge.err());
  CHECK(merge.running());
  CHECK(difference(p, "foxes", mirror) == "");
  CHECK(difference(p, "hens", mirror) == "");
  // What one transaction did to both is one transaction.
  const std::string lines = run_ok({program("daystream"), "cat", whole, "--where", "id=17"});
  const auto fox = lines.find("_table\tfoxes\t");
  const auto hen = lines.find("_table\thens\t", fox);
  REQUIRE(hen != std::string::npos);
  CHECK(lines.find("\tcommit\n", fox) > hen);
}
