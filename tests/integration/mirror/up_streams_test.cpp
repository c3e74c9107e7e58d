// The deltastreams of `deltamirror up`: how long they run, and what becomes of the mirror when one
// of them does not.
#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "support/temp_dir.h"
#include "up_place.h"

using namespace support;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// Databases with one table each, which are the sources of one mirror.
struct Sources : Up {
  struct Source {
    std::string database;
    std::string table;
    std::string user = "postgres";
    std::string directory = {};  // of its daystream, where that is not its name
  };
  std::map<std::string, Source> sources;
  std::optional<Process> owner;  // `up`

  void add(const std::string& name, const std::string& user = "postgres") {
    cluster.create_database("db_" + name);
    cluster.execute(
        "CREATE TABLE " + name + "(id int PRIMARY KEY); INSERT INTO " + name + " VALUES(1)",
        "db_" + name);
    sources[name] = {"db_" + name, name, user};
  }
  std::string config() const { return (dir / "c.json").string(); }
  void write_config() const {
    json root = {{"sources", json::array()}};
    for (const auto& [name, source] : sources) {
      root["sources"].push_back(
          {{"name", name},
           {"daystream", stream_of(source.directory.empty() ? name : source.directory)},
           {"connection", cluster.conninfo(source.database, source.user)},
           {"tables", {{{"table", source.table}}}}});
    }
    write_file(config(), root.dump(2));
  }
  std::string stream_of(const std::string& name) const { return (dir / name).string(); }
  pid_t pid_of(const std::string& stream) const {
    if (!fs::exists(stream + "/status.json")) return 0;
    const json status = json::parse(read_file(stream + "/status.json"), nullptr, false);
    return status.is_discarded() ? 0 : status.value("pid", 0);
  }
  void kill(const std::string& stream) const {
    REQUIRE(eventually([&] { return pid_of(stream) > 0; }));
    REQUIRE(::kill(pid_of(stream), SIGKILL) == 0);
  }

  void start() {
    owner.emplace(Texts{program("deltamirror"), "up", mirror(), "--config", config()});
    REQUIRE(eventually([&] { return fs::exists(mirror() + ".sock") || !owner->running(); }));
    INFO(owner->err());
    REQUIRE(owner->running());
  }
  void end() {
    owner->signal(SIGTERM);
    CHECK(owner->wait() == Exit{0, 0});
  }
  bool follows(const std::string& name) const {
    cluster.execute("INSERT INTO " + name + " SELECT max(id) + 1 FROM " + name, "db_" + name);
    const std::string count = cluster.scalar("SELECT count(*) FROM " + name, "db_" + name);
    return eventually([&] {
      const bool is_there =
          value("SELECT count(*) FROM sqlite_schema WHERE name = '" + name + "'") == "1";
      return is_there && value("SELECT count(*) FROM " + name) == count;
    });
  }
  std::string slot_of(const std::string& name) const {
    return cluster.scalar(
        "SELECT coalesce(max(slot_name), '') FROM pg_replication_slots WHERE "
        "database = 'db_" +
        name + "'");
  }
  // The configuration is read again.
  void reload() {
    write_config();
    owner->signal(SIGHUP);
  }
  bool says(const std::string& what) const {
    return eventually([&] { return owner->err().find(what) != std::string::npos; });
  }
  Result down() const {
    return run({program("deltamirror"), "down", mirror(), "--config", config(), "--yes"});
  }
  Result status() const { return run({program("deltamirror"), "status", mirror()}); }
};

}  // namespace

TEST_CASE("up: a deltastream that is killed is started again", "[mirror][integration][up]") {
  Sources place;
  place.owner.emplace(place.up(place.mirror(), {"--table", "a"}));
  REQUIRE(eventually([&] { return fs::exists(place.mirror() + ".sock"); }));
  for (int n = 2; n < 5; ++n) {
    place.kill(place.mirror() + ".daystream");
    place.cluster.execute("INSERT INTO a VALUES(" + std::to_string(n) + ", 'x')");
    INFO(place.owner->err());
    CHECK(eventually([&] {
      return place.value("SELECT count(*) FROM a") == std::to_string(n) || !place.owner->running();
    }));
    REQUIRE(place.owner->running());
  }
  place.end();
  const std::string err = place.owner->err();
  const std::string said = "deltastream was ended by signal 9; trying again";
  CHECK(err.find(said) != std::string::npos);
  CHECK(err.find(said, err.find(said) + 1) == std::string::npos);  // once a minute
}

TEST_CASE("up: a deltastream that hangs, or ends again and again, is in status until that is over",
          "[mirror][integration][up]") {
  Sources place;
  place.add("eu");
  place.write_config();
  place.start();
  const std::string stream = place.stream_of("eu");
  REQUIRE(place.follows("eu"));
  const auto status_says = [&](const Texts& words) {
    return eventually([&] {
      const std::string out = place.status().out;
      return std::all_of(words.begin(), words.end(), [&](const std::string& each) {
        return out.find(each) != std::string::npos;
      });
    });
  };
  INFO(place.owner->err());
  SECTION("it hangs") {
    const pid_t pid = place.pid_of(stream);
    const auto begun = std::chrono::steady_clock::now();
    REQUIRE(::kill(pid, SIGSTOP) == 0);
    const std::string hangs = "deltastream (process " + std::to_string(pid) + ") hangs";
    CHECK(status_says({"TROUBLE: the stream of source \"eu\" is not written: " + hangs, "(since 2",
                       "kill -CONT " + std::to_string(pid)}));
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(15));
    CHECK(place.says("source \"eu\": " + hangs));
    REQUIRE(::kill(pid, SIGCONT) == 0);
    CHECK(place.says("source \"eu\": deltastream goes on"));
  }
  SECTION("it ends again and again") {
    for (pid_t before = 0, ends = 0; ends < 3; ++ends) {
      REQUIRE(eventually([&] {
        const pid_t now = place.pid_of(stream);
        return now != before && now > 0 && ::kill(now, 0) == 0;
      }));
      before = place.pid_of(stream);
      REQUIRE(::kill(before, SIGKILL) == 0);
    }
    CHECK(
        status_says({"is not written: deltastream has ended 3 times, at last so: deltastream was "
                     "ended by signal 9 (since 2",
                     "\"up\" starts it again by itself"}));
    const Result status = place.status();
    CHECK(status.exit == Exit{1, 0});
    CHECK_THAT(status.out, !Catch::Contains("start it again\n") && !Catch::Contains("silent"));
  }
  CHECK(place.follows("eu"));
  CHECK(eventually([&] { return place.status().ok(); }));
  place.end();
}

TEST_CASE("up: one deltastream that is killed, or needs a person, is not the other source's",
          "[mirror][integration][up]") {
  Sources place;
  place.cluster.execute("CREATE ROLE keeper SUPERUSER LOGIN");
  place.add("eu", "keeper");
  place.add("us");
  place.write_config();
  place.start();
  for (const char* source : {"eu", "us"}) {
    CHECK_THAT(place.owner->err(), Catch::Contains("INFO deltastream: source \"" +
                                                   std::string(source) + "\": streaming"));
  }
  place.kill(place.stream_of("eu"));
  CHECK(place.follows("us"));
  CHECK(place.follows("eu"));

  place.cluster.execute("ALTER ROLE keeper NOLOGIN");
  place.kill(place.stream_of("eu"));
  CHECK(eventually([&] {
    return place.owner->err().find("source \"eu\": deltastream ended with exit code 3") !=
           std::string::npos;
  }));
  INFO(place.owner->err());
  CHECK(place.follows("us"));
  REQUIRE(place.owner->running());
  const Result trouble = place.status();
  CHECK(trouble.exit == Exit{3, 0});
  CHECK_THAT(trouble.out,
             Catch::Contains("TROUBLE: the stream of source \"eu\" is not written: ") &&
                 Catch::Contains("is not permitted to log in") &&
                 !Catch::Contains("source \"us\""));

  place.cluster.execute("ALTER ROLE keeper LOGIN");
  place.owner->signal(SIGHUP);
  CHECK(place.follows("eu"));
  CHECK(eventually([&] { return place.status().ok(); }));

  place.cluster.execute("ALTER ROLE keeper NOLOGIN");
  place.kill(place.stream_of("eu"));
  place.sources.erase("us");  // so that eu is the last one
  place.write_config();
  place.owner->signal(SIGHUP);
  const Exit end = place.owner->wait();
  INFO(place.owner->err());
  CHECK(end == Exit{3, 0});
}

TEST_CASE("up: a source that comes with the configuration has its stream, one that leaves is known",
          "[mirror][integration][up]") {
  Sources place;
  place.add("eu");
  place.write_config();
  place.start();
  place.add("us");
  place.reload();
  INFO(place.owner->err());
  CHECK(place.follows("us"));
  CHECK(place.follows("eu"));
  CHECK(eventually([&] { return place.status().ok(); }));
  place.kill(place.stream_of("us"));
  CHECK(place.follows("us"));

  const std::string slot = place.slot_of("us");
  place.sources.erase("us");
  place.reload();
  CHECK(place.says("removed source \"us\""));
  CHECK(place.says("replication slot \"" + slot + "\" of source \"us\", which has left, stays"));
  CHECK(eventually([&] {
    return place.cluster.scalar("SELECT active FROM pg_replication_slots WHERE slot_name = '" +
                                slot + "'") == "f";
  }));
  CHECK(place.follows("eu"));
  SECTION("down removes all") {
    place.end();
    const std::string err = place.owner->err();
    CHECK(err.rfind(slot) > err.rfind("ended"));  // the last lines name it
    CHECK(place.slots().size() == 2);
    const Result down = place.down();
    INFO(down.err);
    CHECK(down.ok());
    CHECK_THAT(down.out, Catch::Contains("removed replication slot " + slot));
    CHECK(place.nothing_is_left(place.mirror()));
    CHECK_FALSE(fs::exists(place.stream_of("us")));
  }
  SECTION("down removes what it has left, beside the mirror") {
    const Texts only_us = {
        program("deltamirror"), "down", place.mirror(), "--source", "us", "--yes"};
    const Result status = place.status();
    CHECK(status.ok());
    CHECK_THAT(status.out, Catch::Contains("LEFT: replication slot \"" + slot + "\"") &&
                               Catch::Contains("--source us\" drops it"));
    const Result not_left =
        run({program("deltamirror"), "down", place.mirror(), "--source", "eu", "--yes"});
    CHECK(not_left.exit == Exit{3, 0});
    CHECK_THAT(not_left.err, Catch::Contains("has source \"eu\""));
    const Result down = run(only_us);
    INFO(down.err);
    CHECK(down.ok());
    CHECK_THAT(down.out, Catch::Contains("removed replication slot " + slot) &&
                             Catch::Contains("removed daystream " + place.stream_of("us")));
    CHECK(place.slots().size() == 1);
    CHECK_FALSE(fs::exists(place.stream_of("us")));
    CHECK_THAT(place.status().out, !Catch::Contains("LEFT"));
    CHECK(run(only_us).exit == Exit{2, 0});
    CHECK(place.follows("eu"));
    place.end();
  }
  SECTION("it comes back") {
    place.cluster.execute("INSERT INTO us VALUES(100)", "db_us");
    place.sources["us"] = {"db_us", "us"};
    place.reload();
    CHECK(place.follows("us"));
    place.end();
    CHECK_THAT(place.owner->err(), Catch::Contains("stays"));
  }
}

TEST_CASE("up: what cannot be taken of a configuration is in status, and leaves no slot",
          "[mirror][integration][up]") {
  Sources place;
  place.add("eu");
  place.write_config();
  place.start();
  place.add("us");
  std::string says;
  SECTION("its table is not there") {
    place.sources["us"].table = "nope";
    says = "\"public.nope\"";
  }
  SECTION("its database is another source's") {
    place.sources["us"] = {"db_eu", "eu"};
    says = "database";
  }
  SECTION("it cannot be reached") {
    place.sources["us"].user = "nobody_here";
    says = "nobody_here";
  }
  SECTION("its deltastream may make no slot") {
    place.cluster.execute("CREATE ROLE weak LOGIN");
    place.cluster.execute("GRANT SELECT ON us TO weak", "db_us");
    place.sources["us"].user = "weak";
    says = "ALTER ROLE weak REPLICATION";
  }
  SECTION("it is no JSON") {
    place.write_config();
    std::ofstream(place.config(), std::ios::app) << "x";
    place.owner->signal(SIGHUP);
    says = "c.json:";
  }
  if (says != "c.json:") place.reload();
  REQUIRE(place.says("could not take configuration"));
  CAPTURE(place.owner->err());
  const Result status = place.status();
  CHECK(status.exit == Exit{1, 0});
  CHECK_THAT(status.out, Catch::Contains("TROUBLE: could not take configuration \"" +
                                         place.config() + "\", the one before stays in force: ") &&
                             Catch::Contains(says) && Catch::Contains("SIGHUP") &&
                             !Catch::Contains("above"));
  CHECK(place.slots().size() == 1);
  CHECK_FALSE(fs::exists(place.stream_of("us")));
  CHECK(place.follows("eu"));

  place.sources["us"] = {"db_us", "us"};
  place.reload();
  CHECK(place.follows("us"));
  CHECK(eventually([&] { return place.status().ok(); }));
  place.end();
}

TEST_CASE("up: a stream that cannot go on as a configuration has it goes on as before",
          "[mirror][integration][up]") {
  Sources place;
  place.add("eu");
  place.add("us");
  place.write_config();
  place.start();
  REQUIRE(place.follows("eu"));
  const pid_t before = place.pid_of(place.stream_of("eu"));
  auto& eu = place.sources["eu"];
  std::string says;
  std::string hint;
  SECTION("in a directory where it is not") {
    eu.directory = "eu2";
    says = "belongs to daystream \"" + place.stream_of("eu") + "\"";
    hint = "stop \"up\", move directory";
  }
  SECTION("by a role that is not there") {
    eu.user = "nobody_here";
    says = "nobody_here";
    hint = "SIGHUP";
  }
  SECTION("from another database") {
    place.cluster.create_database("db_other");
    eu.database = "db_other";
    says = "db_other";
    hint = "another directory";
  }
  place.reload();
  CHECK(eventually([&] {
    const std::string err = place.owner->err();
    return err.find("could not take configuration") != std::string::npos ||
           err.find("deltastream ended") != std::string::npos;
  }));
  CAPTURE(place.owner->err());
  REQUIRE(place.owner->err().find("could not take configuration") != std::string::npos);
  CHECK_THAT(place.owner->err(), Catch::Contains(says) && Catch::Contains(hint));
  const Result status = place.status();
  CHECK(status.exit == Exit{1, 0});
  CHECK_THAT(status.out, Catch::Contains("TROUBLE: could not take configuration") &&
                             Catch::Contains(says) && Catch::Contains(hint) &&
                             !Catch::Contains("is not written"));
  CHECK(place.pid_of(place.stream_of("eu")) == before);
  CHECK(place.follows("eu"));
  CHECK(place.follows("us"));
  CHECK_FALSE(fs::exists(place.stream_of("eu2")));
  CHECK(place.slots().size() == 2);

  // What can be is taken.
  place.cluster.execute("CREATE ROLE keeper SUPERUSER LOGIN");
  eu = {"db_eu", "eu", "keeper"};
  place.reload();
  CHECK(eventually([&] {
    return place.cluster.scalar(
               "SELECT count(*) FROM pg_stat_replication WHERE usename = "
               "'keeper'") == "1";
  }));
  CHECK(place.follows("eu"));
  CHECK(eventually([&] { return place.status().ok(); }));
  place.end();
}

TEST_CASE("up: why a stream was given up at the start is in status, while it runs and after",
          "[mirror][integration][up]") {
  Sources place;
  place.add("eu");
  SECTION("beside another source, which goes on") {
    place.add("us");
    place.write_config();
    place.start();
    REQUIRE(place.follows("eu"));
    place.end();
    place.sources["eu"].directory = "eu2";
    place.write_config();
    place.start();
    REQUIRE(place.follows("us"));
    CHECK(eventually(std::chrono::seconds(20), [&] {
      return place.status().out.find("TROUBLE: source \"eu\" is stopped since ") !=
             std::string::npos;
    }));
    const Result status = place.status();
    CHECK(status.exit == Exit{3, 0});
    CHECK_THAT(status.out,
               Catch::Contains("belongs to another daystream") && Catch::Contains("HINT: "));
    place.end();
    place.sources["eu"].directory = "eu";
    place.write_config();
    place.start();
    const bool again = eventually(std::chrono::seconds(30), [&] { return place.status().ok(); });
    INFO(place.owner->err());
    REQUIRE(again);
    CHECK(place.follows("eu"));
    place.end();
  }
  SECTION("of the only one") {
    place.write_config();
    place.start();
    REQUIRE(place.follows("eu"));
    place.end();
    place.sources["eu"].directory = "eu2";
    place.write_config();
    place.owner.emplace(
        Texts{program("deltamirror"), "up", place.mirror(), "--config", place.config()});
    CHECK(place.owner->wait() == Exit{3, 0});
    const Result status = place.status();
    INFO(place.owner->err());
    CHECK(status.exit == Exit{3, 0});
    CHECK_THAT(status.out, Catch::Contains("TROUBLE: source \"eu\" is stopped since ") &&
                               Catch::Contains("belongs to another daystream"));
  }
}

TEST_CASE("up: a source that the start refuses has no slot", "[mirror][integration][up]") {
  Sources place;
  place.add("eu");
  place.write_config();
  place.start();
  place.end();
  place.add("us");
  json indexes;
  std::string says;
  SECTION("as its database is another source's") {
    place.sources["us"] = {"db_eu", "eu"};
    says = "database";
  }
  SECTION("as SQLite does not take what comes with it") {
    indexes = {"nope"};
    says = "nope";
  }
  place.write_config();
  if (!indexes.is_null()) {
    json root = json::parse(read_file(place.config()));
    root["sources"][0]["tables"][0]["indexes"] = indexes;
    write_file(place.config(), root.dump());
  }
  place.owner.emplace(
      Texts{program("deltamirror"), "up", place.mirror(), "--config", place.config()});
  const Exit end = place.owner->wait();
  INFO(place.owner->err());
  CHECK(end.code > 0);
  CHECK_THAT(place.owner->err(), Catch::Contains(says));
  CHECK(place.slots() == Texts{place.slot_of("eu")});
  CHECK_FALSE(fs::exists(place.stream_of("us")));

  place.sources.erase("us");
  place.write_config();
  place.start();
  CHECK(place.follows("eu"));
  place.end();
  CHECK(place.down().ok());
  CHECK(place.nothing_is_left(place.mirror()));
}

TEST_CASE("up: a directory that holds something else is refused, and left as it is",
          "[mirror][integration][up]") {
  Sources place;
  place.add("eu");
  place.write_config();
  const auto foreign = [&] {
    place.add("us");
    fs::create_directory(place.stream_of("us"));
    write_file(place.stream_of("us") + "/precious", "x");
    place.write_config();
  };
  const auto is_untouched = [&] {
    return read_file(place.stream_of("us") + "/precious") == "x" &&
           std::distance(fs::directory_iterator(place.stream_of("us")), {}) == 1;
  };
  const std::string says = "is no daystream, and not empty: it holds \"precious\"";
  SECTION("at the start") {
    foreign();
    place.owner.emplace(
        Texts{program("deltamirror"), "up", place.mirror(), "--config", place.config()});
    CHECK(place.owner->wait() == Exit{3, 0});
    CHECK_THAT(place.owner->err(), Catch::Contains(says));
    CHECK(place.slots().empty());
  }
  SECTION("as the configuration changes, and by down") {
    place.start();
    foreign();
    place.owner->signal(SIGHUP);
    REQUIRE(place.says("could not take configuration"));
    CHECK_THAT(place.status().out, Catch::Contains(says));
    CHECK(place.slots().size() == 1);
    place.end();
    CHECK(is_untouched());
    const Result down =
        run({program("deltamirror"), "down", place.mirror(), "--config", place.config(), "--yes"});
    CHECK(down.exit == Exit{3, 0});
    CHECK_THAT(down.err, Catch::Contains(says));
    CHECK(fs::exists(place.mirror()));
  }
  CHECK(is_untouched());
}
