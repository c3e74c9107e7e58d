// Two thousand tables, ten of them in trouble.
#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <nlohmann/json.hpp>
#include <set>

#include "common/seed.h"
#include "common/streaming.h"
#include "support/cluster.h"
#include "support/process.h"
#include "support/sqlite_reader.h"
#include "support/temp_dir.h"

using namespace fault;

namespace {

std::string each_table(int count, const std::string& sql) {
  return "DO $$ BEGIN FOR i IN 1.." + std::to_string(count) + " LOOP EXECUTE format('" + sql +
         "', 't' || i); END LOOP; END $$";
}

}  // namespace

TEST_CASE("deltamirror: of two thousand tables those in trouble are named, and the others follow",
          "[fault][deltamirror][many]") {
  constexpr int kTables = 2000;
  support::Cluster cluster({.config = {"max_locks_per_transaction = 4096"}});
  const support::TempDir dir;
  const auto mirror = dir / "mirror.db";
  cluster.execute(each_table(kTables, "CREATE TABLE %1$I(id int PRIMARY KEY, v text)"));
  support::Process stream({support::program("deltastream"), "-d", cluster.conninfo(), "-S", "m",
                           "-D", dir / "stream", "--create-slot"});
  wait_until_streaming(dir / "stream", stream);
  nlohmann::json tables = nlohmann::json::array();
  for (int i = 1; i <= kTables; ++i) tables.push_back({{"table", "t" + std::to_string(i)}});
  support::write_file(dir / "config.json", nlohmann::json{{"tables", tables}}.dump());
  support::run_ok({support::program("deltamirror"), "seed", mirror, "-d", cluster.conninfo(),
                   "--daystream", dir / "stream", "--config", dir / "config.json"},
                  {}, std::chrono::minutes{5});
  support::Process owner({support::program("deltamirror"), "run", mirror, "-d", cluster.conninfo(),
                          "--daystream", dir / "stream", "--config", dir / "config.json"});

  std::set<std::string> in_trouble;
  for (int i = 1; i <= 10; ++i) {
    const std::string name = "t" + std::to_string(i * 100);
    in_trouble.insert(name);
    if (i <= 4) {
      cluster.execute("DROP TABLE " + name);
    } else if (i <= 7) {
      cluster.execute("INSERT INTO " + name + " VALUES (1, 'v'); ALTER TABLE " + name +
                      " DROP CONSTRAINT " + name + "_pkey; UPDATE " + name + " SET v = 'w'");
    } else {
      cluster.execute("ALTER TABLE " + name + " SET UNLOGGED");
    }
  }
  cluster.execute(
      "DO $$ DECLARE t text; BEGIN FOR t IN SELECT relname FROM pg_class c WHERE relkind = 'r' AND "
      "relnamespace = 'public'::regnamespace LOOP "
      "EXECUTE format('INSERT INTO %I VALUES (7, ''all'')', t); END LOOP; END $$");

  const auto ended = [&] { return !owner.running(); };
  const auto told = [&](const std::string& sql) {
    std::set<std::string> names;
    support::SqliteReader reader(mirror);
    for (const support::Row& row : reader.query(sql)) names.insert(*row[0]);
    return names;
  };
  const std::string troubled =
      "SELECT name FROM _deltamirror_tables WHERE state <> 'following' AND reason <> ''";
  support::eventually(std::chrono::minutes{2},
                      [&] { return ended() || told(troubled) == in_trouble; });
  INFO(owner.err());
  CHECK(told(troubled) == in_trouble);
  const std::string lsn = cluster.scalar("SELECT pg_current_wal_flush_lsn()");
  CHECK(support::run(
            {support::program("deltamirror"), "wait", mirror, "--lsn", lsn, "--timeout", "45"})
            .ok());
  {
    support::SqliteReader reader(mirror);
    int level = 0;
    for (int i = 1; i <= kTables; ++i) {
      const std::string name = "t" + std::to_string(i);
      if (in_trouble.contains(name)) {
        CHECK_THROWS(reader.query("SELECT * FROM " + name));
      } else if (reader.scalar("SELECT count(*) FROM " + name + " WHERE id = 7") == "1") {
        ++level;
      }
    }
    CHECK(level == kTables - static_cast<int>(in_trouble.size()));
  }

  // Who asks what is wrong reads of these first, and of no others.
  const std::string status =
      support::run({support::program("deltamirror"), "status", mirror}, {}, std::chrono::minutes{1})
          .out;
  CHECK_THAT(status, Catch::Contains("2000 tables: ") && Catch::Contains("1990 following"));
  CHECK(std::count(status.begin(), status.end(), '\n') < 60);
  for (const std::string& name : in_trouble) {
    CHECK(status.find("TROUBLE: table " + name + " is ") < status.find("lsn "));
  }

  // What was in trouble comes back when it can.
  cluster.execute("CREATE TABLE t100(id int PRIMARY KEY, v text)");
  cluster.execute("ALTER TABLE t500 ADD PRIMARY KEY (id)");
  cluster.execute("ALTER TABLE t800 SET LOGGED");
  for (const char* name : {"t100", "t500", "t800"}) in_trouble.erase(name);
  support::eventually([&] { return ended() || told(troubled) == in_trouble; });
  CHECK(told(troubled) == in_trouble);
  owner.signal(SIGTERM);
  CHECK(owner.wait() == support::Exit{0, 0});
}
