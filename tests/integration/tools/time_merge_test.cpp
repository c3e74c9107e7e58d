// daystream merge of two clusters, each with its own stream, killed while both write.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <random>
#include <sstream>

#include "../pipeline/pipeline.h"

using namespace pipeline;
using support::program;
using support::run_ok;

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream all(text);
  for (std::string line; std::getline(all, line);) lines.push_back(line);
  return lines;
}

std::string value_of(const std::string& line, const std::string& key) {
  const auto at = line.find("\t" + key + "\t");
  if (at == std::string::npos) return {};
  const auto begin = at + key.size() + 2;
  return line.substr(begin, line.find('\t', begin) - begin);
}

}  // namespace

TEST_CASE("merge: two clusters in commit-time order, through kills", "[tools][merge]") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  Cluster::Options own;
  own.own_system_identifier = true;
  Pipeline east;
  Pipeline west(own);
  REQUIRE(east.scalar("SELECT system_identifier FROM pg_control_system()") !=
          west.scalar("SELECT system_identifier FROM pg_control_system()"));
  Pipeline* const both[] = {&east, &west};
  for (Pipeline* p : both) {
    p->execute("CREATE TABLE deeds (id int PRIMARY KEY, note text)");
    p->start_stream();
  }
  const std::string all = (east.folder() / "all").string();
  const std::vector<std::string> merge = {program("daystream"),
                                          "merge",
                                          "east=" + east.daystream().string(),
                                          "west=" + west.daystream().string(),
                                          "--into",
                                          all};
  int deeds[] = {0, 0};
  const auto act = [&](int which) {
    both[which]->execute(fmt::format(
        "INSERT INTO deeds SELECT {}, string_agg('deed', '') FROM generate_series(1, {})",
        ++deeds[which], random() % 50 == 0 ? 100'000 : 1));
  };
  for (int round = 0; round < 15; ++round) {
    Process merging(merge);
    for (int i = 0; i < 20; ++i) act(static_cast<int>(random() % 2));
    merging.wait(std::chrono::milliseconds(random() % 100));
    INFO(merging.err());
    REQUIRE(merging.running());
    merging.signal(SIGKILL);
  }
  const int wanted[] = {deeds[0], deeds[1]};
  Process merging(merge);
  // What one has done is known to be all when the other has done something later.
  REQUIRE(support::eventually([&] {
    if (!merging.running()) throw std::runtime_error(merging.err());
    act(0);
    act(1);
    const auto has = [&](const char* name, int id) {
      return !run_ok({program("daystream"), "cat", all, "--source", name, "--where",
                      "id=" + std::to_string(id)})
                  .empty();
    };
    return has("east", wanted[0]) && has("west", wanted[1]);
  }));
  merging.signal(SIGTERM);
  CHECK(merging.wait().code == 0);
  run_ok({program("daystream"), "verify", all});

  // Each source's rows are all there, once, as its own stream has them.
  const char* const names[] = {"east", "west"};
  for (int which = 0; which < 2; ++which) {
    CAPTURE(names[which]);
    const auto rows = lines_of(run_ok(
        {program("daystream"), "cat", all, "--source", names[which], "--actions", "insert"}));
    const auto of_source = lines_of(run_ok(
        {program("daystream"), "cat", both[which]->daystream().string(), "--actions", "insert"}));
    std::vector<std::string> merged;
    std::vector<std::string> source;
    for (const std::string& line : rows) {
      if (line.find("\t_action\tinsert") != std::string::npos)
        merged.push_back(line.substr(line.find("\t_action")));
    }
    for (const std::string& line : of_source) {
      if (line.find("\t_action\tinsert") != std::string::npos)
        source.push_back(line.substr(line.find("\t_action")));
    }
    REQUIRE(merged.size() >= static_cast<std::size_t>(wanted[which]));
    source.resize(merged.size());
    CHECK(merged == source);
  }
  std::string before;
  bool is_east_and_west = false;
  std::string last_source;
  for (const std::string& line : lines_of(run_ok({program("daystream"), "cat", all}))) {
    if (!line.ends_with("\t_action\tcommit")) continue;
    const std::string time = value_of(line, "_time");
    CHECK(time >= before);
    before = time;
    const std::string source = value_of(line, "_source");
    is_east_and_west = is_east_and_west || (!last_source.empty() && source != last_source);
    last_source = source;
  }
  CHECK(is_east_and_west);

  const auto refused = support::run({program("deltamirror"), "seed", east.mirror().string(), "-d",
                                     east.conninfo(), "--daystream", all, "--table", "deeds"});
  CHECK(refused.exit.code == 3);
  CHECK_THAT(refused.err, Catch::Contains("is merged of several databases: \"east\", \"west\""));
  CHECK_THAT(refused.err, Catch::Contains("follow the stream of that database itself"));
}
