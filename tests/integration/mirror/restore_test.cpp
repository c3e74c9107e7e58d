// pg_restore of fifty mirrored tables into the database that they are mirrored from.
#include <catch2/catch.hpp>

#include "shards.h"
#include "troubled.h"

using namespace support;

namespace {

constexpr int kTables = 50;

std::string table_name(int number) {
  return "t" + std::to_string(number);
}

std::string each_table(const std::string& sql) {
  return "DO $$ BEGIN FOR i IN 1.." + std::to_string(kTables) + " LOOP EXECUTE format('" + sql +
         "', 't' || i); END LOOP; END $$";
}

const std::string kMake = each_table("CREATE TABLE %1$I(id int PRIMARY KEY, v text)") + ";" +
                          each_table(
                              "INSERT INTO %1$I SELECT i, ''dumped'' FROM "
                              "generate_series(1, 20) i");
const std::string kChange =
    each_table("UPDATE %1$I SET v = ''since''; DELETE FROM %1$I WHERE id > 15");

// A dump of a database's tables, and what brings it back.
class Dump {
 public:
  Dump(const Cluster& cluster, const std::string& database)
      : cluster_(cluster), database_(database), file_(cluster.data_dir() / (database + ".dump")) {
    cluster.run_tool("pg_dump", {"-Fc", "-f", file_, "-d", cluster.conninfo(database)});
  }
  void restore(bool together) const {
    Texts arguments = {"--clean", "-d", cluster_.conninfo(database_), file_};
    if (together) arguments.insert(arguments.begin(), "--single-transaction");
    cluster_.run_tool("pg_restore", arguments);
  }

 private:
  const Cluster& cluster_;
  const std::string database_;
  const std::string file_;
};

enum class Owner { Up, Down, Starting };

// `start` and `end` the mirror's owner, which runs before and after.
template <typename Start, typename End, typename Act>
void with_owner(Owner owner, const Start& start, const End& end, const Act& act) {
  if (owner != Owner::Up) end();
  if (owner == Owner::Starting) start();
  act();
  if (owner == Owner::Down) start();
}

}  // namespace

TEST_CASE("restore: fifty tables come back as they were dumped, with nobody's help",
          "[mirror][trouble][restore][integration]") {
  Troubled s(kMake);
  Texts tables;
  for (int i = 1; i <= kTables; ++i) tables.push_back(table_name(i));
  s.seed_tables(tables);
  s.start(true);
  const Dump dump(s.cluster, "postgres");
  for (const bool together : {false, true}) {
    for (const Owner owner : {Owner::Up, Owner::Down, Owner::Starting}) {
      CAPTURE(together, static_cast<int>(owner));
      s.cluster.execute(kChange);
      s.catch_up();
      CHECK(s.value("SELECT count(*) FROM t50 WHERE v = 'since'") == "15");
      with_owner(
          owner, [&] { s.start(true); }, [&] { s.end(); }, [&] { dump.restore(together); });
      for (const std::string& table : tables) s.check_equal(table, "id || v");
      s.catch_up();
      CHECK(s.value("SELECT count(*) FROM _deltamirror_tables WHERE state <> 'following'") == "0");
    }
  }
  s.end();
}

TEST_CASE("restore: fifty tables of one source of three, which shares them with the others",
          "[mirror][trouble][restore][sources][integration]") {
  Shards s(kMake);
  nlohmann::json tables = nlohmann::json::array();
  for (int i = 1; i <= kTables; ++i) tables.push_back({{"table", table_name(i)}});
  s.write_config(tables);
  s.seed();
  s.start_run();
  const Dump dump(s.cluster, "b");
  bool together = false;
  for (const Owner owner : {Owner::Up, Owner::Down, Owner::Starting}) {
    together = !together;
    CAPTURE(together, static_cast<int>(owner));
    for (const std::string& name : s.names) s.cluster.execute(kChange, name);
    s.catch_up();
    with_owner(
        owner, [&] { s.start_run(); }, [&] { s.end_run(); }, [&] { dump.restore(together); });
    INFO(s.runner->err());
    CHECK(eventually([&] {
      return s.value("SELECT count(*) FROM _deltamirror_tables WHERE state <> 'following'") == "0";
    }));
    s.catch_up();
    for (int i = 1; i <= kTables; ++i) {
      const std::string table = table_name(i);
      CHECK(s.rows("SELECT shard || id || v FROM " + table + " ORDER BY 1") ==
            s.union_of("SELECT '$' || id || v FROM " + table));
    }
  }
  s.end_run();
}
