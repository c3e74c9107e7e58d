// Databases that lead to others: `config init` names these as sources, with the real PL/Proxy and
// postgres_fdw.
#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "pipeline.h"

using namespace support;
using nlohmann::json;

namespace {

// A proxy database and two shards, which are databases of the same server.
struct Proxied : Pipeline {
  Proxied() {
    for (const char* name : {"proxy", "part0", "part1"}) cluster.create_database(name);
    for (const char* name : {"part0", "part1"}) {
      cluster.execute(
          "CREATE TABLE account(id int PRIMARY KEY, v text); INSERT INTO account SELECT i, "
          "current_database() FROM generate_series(1, 3) i; CREATE TABLE orders(id int PRIMARY "
          "KEY, v text); INSERT INTO orders VALUES(1, current_database())",
          name);
    }
    cluster.execute("CREATE TABLE mine(id int PRIMARY KEY)", "part1");
    cluster.execute("ALTER TABLE orders ALTER v TYPE varchar(9)", "part1");
  }
  std::string partition(const std::string& name) const { return cluster.conninfo(name); }
  std::string literal(const std::string& name) const {
    return daystream::program::quote_literal(partition(name));
  }
  // PL/Proxy itself; false: it is not installed here.
  bool install_plproxy() const {
    if (cluster.scalar("SELECT count(*) FROM pg_available_extensions WHERE name = 'plproxy'") ==
        "0") {
      return false;
    }
    cluster.execute("CREATE EXTENSION plproxy", "proxy");
    return true;
  }
  Result init(const Texts& more = {}) const {
    Texts argv = {
        program("deltamirror"), "config",           "init", "-d", cluster.conninfo("proxy"),
        "--daystreams",         dir.path().string()};
    argv.insert(argv.end(), more.begin(), more.end());
    return run(argv);
  }
  // The mirror of that configuration has the rows of both, and goes on having them.
  void follow(const std::string& config) {
    const std::string file = (dir / "all.json").string();
    std::ofstream(file) << config;
    Process up({program("deltamirror"), "up", mirror(), "--config", file});
    const bool follows =
        eventually([&] { return std::filesystem::exists(mirror() + ".sock") || !up.running(); });
    INFO(up.err());
    REQUIRE(follows);
    REQUIRE(up.running());
    cluster.execute("UPDATE account SET v = 'new' WHERE id = 2", "part1");
    CHECK(eventually([&] {
      return value("SELECT group_concat(shard || id || v, ' ') FROM account") ==
             "part01part0 part02part0 part03part0 part11part1 part12new part13part1";
    }));
    // While `up` runs: what it compares is waited for in the streams, which `up` writes.
    CHECK(run({program("deltamirror"), "verify", mirror(), "--config", file}).ok());
    up.signal(SIGTERM);
    CHECK(up.wait() == Exit{0, 0});
  }
};

}  // namespace

TEST_CASE("config init: the partitions of a PL/Proxy cluster become sources",
          "[mirror][integration][shards]") {
  Proxied place;
  if (!place.install_plproxy()) {
    WARN("PL/Proxy is not installed: not tested");
    return;
  }
  const bool by_server = GENERATE(false, true);
  if (by_server) {
    place.cluster.execute("CREATE SERVER users FOREIGN DATA WRAPPER plproxy OPTIONS (p0 " +
                              place.literal("part0") + ", p1 " + place.literal("part1") +
                              "); CREATE USER MAPPING FOR postgres SERVER users",
                          "proxy");
  } else {
    place.cluster.execute(
        "CREATE SCHEMA plproxy; CREATE FUNCTION plproxy.get_cluster_version(text) RETURNS int "
        "LANGUAGE sql AS 'SELECT 1';"
        "CREATE FUNCTION plproxy.get_cluster_config(text, OUT key text, OUT val text) RETURNS "
        "SETOF "
        "record LANGUAGE sql AS $$SELECT 'a'::text, 'b'::text WHERE false$$;"
        "CREATE FUNCTION plproxy.get_cluster_partitions(text) RETURNS SETOF text LANGUAGE sql AS "
        "$$VALUES (" +
            place.literal("part0") + "), (" + place.literal("part1") + ")$$",
        "proxy");
  }
  place.cluster.execute(
      "CREATE FUNCTION get_account(i_id int) RETURNS SETOF text LANGUAGE plproxy AS $$ CLUSTER "
      "'users'; RUN ON ALL; SELECT v FROM account WHERE id = i_id; $$",
      "proxy");
  CHECK(place.cluster.query("SELECT * FROM get_account(1)", "proxy").size() == 2);
  const Result init = place.init();
  CAPTURE(init.out, init.err);
  REQUIRE(init.ok());
  const json config = json::parse(init.out);
  REQUIRE(config["sources"].size() == 2);
  CHECK(config["sources"][0]["name"] == "part0");
  CHECK(config["sources"][1]["connection"] == place.partition("part1"));
  CHECK(config["tables"] == json::parse(R"([{"table": "account"}])"));
  CHECK_THAT(init.err, Catch::Contains("left out: table orders: in \"part1\" its column \"v\" is "
                                       "character varying(9), not text, as in \"part0\""));
  CHECK_THAT(init.err, Catch::Contains("left out: table mine: \"part0\" does not have it"));
  place.follow(init.out);

  place.cluster.execute(
      "CREATE FUNCTION other() RETURNS SETOF text LANGUAGE plproxy AS $$ CLUSTER 'two'; RUN ON "
      "ALL; "
      "SELECT 1::text; $$",
      "proxy");
  const Result several = place.init();
  CHECK(several.exit.code == 2);
  CHECK_THAT(several.err, Catch::Contains("several clusters of PL/Proxy: two, users") &&
                              Catch::Contains("--cluster"));
  CHECK(place.init({"--cluster", "users"}).ok());
}

TEST_CASE("config init: the partitions behind a table with postgres_fdw become sources",
          "[mirror][integration][shards]") {
  Proxied place;
  if (place.cluster.scalar("SELECT count(*) FROM pg_available_extensions WHERE name = "
                           "'postgres_fdw'") == "0") {
    WARN("postgres_fdw is not installed: not tested");
    return;
  }
  place.cluster.execute("ALTER TABLE account RENAME TO \"Account 1\"", "part1");
  std::string sql =
      "CREATE EXTENSION postgres_fdw; CREATE TABLE account(id int, v text) PARTITION BY LIST (v); "
      "CREATE TABLE here PARTITION OF account FOR VALUES IN ('here'); ";
  for (const std::string name : {"part0", "part1"}) {
    sql += "CREATE SERVER " + name + " FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '" +
           place.cluster.socket_dir() + "', dbname '" + name +
           "', use_remote_estimate 'true'); CREATE USER MAPPING FOR postgres SERVER " + name +
           " OPTIONS (user 'postgres', password 'secret'); CREATE FOREIGN TABLE account_" + name +
           " PARTITION OF account FOR VALUES IN ('" + name + "') SERVER " + name +
           " OPTIONS (table_name '" + (name == "part0" ? "account" : "Account 1") + "'); ";
  }
  place.cluster.execute(sql, "proxy");
  CHECK(place.cluster.scalar("SELECT count(*) FROM account", "proxy") == "6");
  const Result init = place.init({"--table", "account"});
  CAPTURE(init.out, init.err);
  REQUIRE(init.ok());
  const json config = json::parse(init.out);
  REQUIRE(config["sources"].size() == 2);
  CHECK(config["sources"][0]["tables"] == json::parse(R"([{"table": "account"}])"));
  CHECK(config["sources"][1]["tables"] ==
        json::parse(R"([{"table": "\"Account 1\"", "as": "account"}])"));
  CHECK_THAT(init.out, !Catch::Contains("secret") && !Catch::Contains("use_remote_estimate"));
  CHECK_THAT(init.err,
             Catch::Contains("left out: partition public.here is in this database itself"));
  place.cluster.execute("ALTER TABLE \"Account 1\" RENAME TO account", "part1");
  place.cluster.execute("ALTER FOREIGN TABLE account_part1 OPTIONS (SET table_name 'account')",
                        "proxy");

  // All in one.
  {
    const Texts command = {program("deltamirror"),          "up",      place.mirror(), "-d",
                           place.cluster.conninfo("proxy"), "--table", "account"};
    Process up(command);
    CHECK(eventually(
        [&] { return std::filesystem::exists(place.mirror() + ".sock") || !up.running(); }));
    INFO(up.err());
    REQUIRE(up.running());
    CHECK_THAT(up.err(), Catch::Contains("the database leads to 2 others"));
    place.cluster.execute("DELETE FROM account WHERE id = 3", "part1");
    CHECK(eventually([&] { return place.value("SELECT count(*) FROM account") == "5"; }));
    up.signal(SIGTERM);
    CHECK(up.wait() == Exit{0, 0});
  }
  CHECK(place.cluster.scalar("SELECT count(*) FROM pg_replication_slots") == "2");
  const Result down = run({program("deltamirror"), "down", place.mirror(), "--yes"});
  INFO(down.out << down.err);
  CHECK(down.ok());
  CHECK(place.cluster.scalar("SELECT count(*) FROM pg_replication_slots") == "0");
  for (const char* end : {"", ".daystreams", ".sources.json"}) {
    CHECK_FALSE(std::filesystem::exists(place.mirror() + end));
  }
}
