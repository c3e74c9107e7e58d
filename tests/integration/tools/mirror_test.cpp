// Mirrors of split and merged streams: right where they can be, refused where they cannot.
#include <catch2/catch.hpp>
#include <csignal>

#include "../pipeline/pipeline.h"

using namespace pipeline;
using support::program;
using support::run_ok;

TEST_CASE("split and merge: parts by table and merged streams can be mirrored, parts by key not",
          "[tools][split]") {
  Pipeline p;
  p.execute(
      "CREATE TABLE foxes (id int PRIMARY KEY, name text);"
      "CREATE TABLE hens (id int PRIMARY KEY, name text)");
  p.start_stream();
  const std::string stream = p.daystream().string();
  const std::string parts = (p.folder() / "parts").string();
  const std::string whole = (p.folder() / "whole").string();
  p.execute("INSERT INTO foxes VALUES (1, 'one'); INSERT INTO hens VALUES (1, 'one')");
  Process split({program("daystream"), "split", stream, parts});
  REQUIRE(support::eventually([&] {
    return std::filesystem::exists(parts + "/foxes/durable") &&
           std::filesystem::exists(parts + "/hens/durable");
  }));
  Process merge({program("daystream"), "merge", parts, "--into", whole});
  REQUIRE(support::eventually([&] { return std::filesystem::exists(whole + "/durable"); }));

  const auto mirror_of = [&](const std::string& source, const std::vector<std::string>& tables) {
    const std::string mirror = p.mirror(std::filesystem::path(source).filename().string()).string();
    std::vector<std::string> seed = {program("deltamirror"), "seed",        mirror, "-d",
                                     p.conninfo(),           "--daystream", source};
    for (const std::string& table : tables) {
      seed.push_back("--table");
      seed.push_back(table);
    }
    run_ok(seed);
    p.execute(
        "INSERT INTO foxes SELECT max(id) + 1, 'more' FROM foxes;"
        "BEGIN; UPDATE hens SET name = name || '!'; UPDATE foxes SET id = id + 100; COMMIT;"
        "INSERT INTO hens SELECT max(id) + 1, 'more' FROM hens");
    run_ok({program("deltamirror"), "run", mirror, "--daystream", source, "--until-lsn",
            p.scalar("SELECT pg_current_wal_lsn()")});
    for (const std::string& table : tables) CHECK(difference(p, table, mirror) == "");
  };
  mirror_of(parts + "/foxes", {"foxes"});
  mirror_of(whole, {"foxes", "hens"});
  INFO(split.err() + merge.err());
  CHECK(split.running());
  CHECK(merge.running());

  const auto refused = [&](const std::string& source, const std::string& table) {
    const auto result = support::run({program("deltamirror"), "seed", p.mirror("refused").string(),
                                      "-d", p.conninfo(), "--daystream", source, "--table", table});
    CHECK(result.exit.code == 3);
    CHECK_THAT(result.err,
               Catch::Contains("the daystream does not hold table \"public." + table + "\""));
  };
  refused(parts + "/foxes", "hens");
  const std::string shards = (p.folder() / "shards").string();
  run_ok({program("daystream"), "split", stream, shards, "--by", "key", "--into", "2", "--once"});
  refused(shards + "/0", "foxes");
}
