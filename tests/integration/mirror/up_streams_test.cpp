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
      root["sources"].push_back({{"name", name},
                                 {"daystream", stream_of(name)},
                                 {"connection", cluster.conninfo(source.database, source.user)},
                                 {"tables", {{{"table", source.table}}}}});
    }
    write_file(config(), root.dump(2));
  }
  std::string stream_of(const std::string& name) const { return (dir / name).string(); }
  pid_t pid_of(const std::string& stream) const {
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
    return eventually([&] { return value("SELECT count(*) FROM " + name) == count; });
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

TEST_CASE("up: one deltastream that is killed, or needs a person, is not the other source's",
          "[mirror][integration][up]") {
  Sources place;
  place.cluster.execute("CREATE ROLE keeper SUPERUSER LOGIN");
  place.add("eu", "keeper");
  place.add("us");
  place.write_config();
  place.start();
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

  place.cluster.execute("ALTER ROLE keeper LOGIN");
  place.end();
  place.start();
  CHECK(place.follows("eu"));
  place.end();
}
