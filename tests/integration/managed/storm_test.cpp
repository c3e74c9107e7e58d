// Random DDL, many commands a transaction, with savepoints: after each command the rows are true.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>

#include "schema_lines.h"

using namespace managed_test;

namespace {

class Storm {
 public:
  explicit Storm(unsigned seed) : random_(seed) {}

  // A command that may well fail: tables, columns and types come and go.
  std::string command() {
    const std::string t = table();
    switch (random_() % 34) {
      case 0:
        return "CREATE TABLE " + t + " (id int PRIMARY KEY, a text, b " + type() + ")";
      case 1:
        return "DROP TABLE " + t + " CASCADE";
      case 2:
        return "ALTER TABLE " + t + " RENAME TO " + name();
      case 3:
        return "ALTER TABLE " + t + " ADD " + column() + " " + type();
      case 4:
        return "ALTER TABLE " + t + " ADD " + column() + " int DEFAULT 7";
      case 5:
        return "ALTER TABLE " + t + " DROP " + column() + " CASCADE";
      case 6:
        return "ALTER TABLE " + t + " RENAME " + column() + " TO " + column();
      case 7:
        return "ALTER TABLE " + t + " ALTER " + column() + " TYPE text";
      case 8:
        return "ALTER TABLE " + t + " ALTER " + column() + " SET NOT NULL";
      case 9:
        return "ALTER TABLE " + t + " DROP CONSTRAINT " + name() + "_pkey";
      case 10:
        return "ALTER TABLE " + t + " ADD PRIMARY KEY (" + column() + ")";
      case 11:
        return "ALTER TABLE " + t + " REPLICA IDENTITY FULL";
      case 12:
        return "ALTER TABLE " + t + " REPLICA IDENTITY DEFAULT";
      case 13:
        return "ALTER TABLE " + t + " SET SCHEMA " + schema();
      case 14:
        return "ALTER SCHEMA " + schema() + " RENAME TO " + schema();
      case 15:
        return "CREATE SCHEMA " + schema();
      case 16:
        return "DROP SCHEMA " + schema() + " CASCADE";
      case 17:
        return "CREATE TYPE " + type() + " AS ENUM ('x', 'y')";
      case 18:
        return "ALTER TYPE " + type() + " ADD VALUE '" + column() + "'";
      case 19:
        return "ALTER TYPE " + type() + " RENAME VALUE '" + column() + "' TO '" + column() + "'";
      case 20:
        return "ALTER TYPE " + type() + " RENAME TO " + type();
      case 21:
        return "CREATE TYPE " + type() + " AS (i int, e " + type() + ")";
      case 22:
        return "ALTER TYPE " + type() + " ADD ATTRIBUTE " + column() + " " + type() + " CASCADE";
      case 23:
        return "DROP TYPE " + type() + " CASCADE";
      case 24:
        return "CREATE DOMAIN " + type() + " AS " + type() + "[]";
      case 25:
        return "CREATE TABLE " + t + " (id int, a text) PARTITION BY LIST (id)";
      case 26:
        return "CREATE TABLE " + t + " PARTITION OF " + table() + " FOR VALUES IN (" + number() +
               ")";
      case 27:
        return "ALTER TABLE " + t + " ATTACH PARTITION " + table() + " FOR VALUES IN (" + number() +
               ")";
      case 28:
        return "ALTER TABLE " + t + " DETACH PARTITION " + table();
      case 29:
        return "ALTER TABLE " + t + " SET UNLOGGED";
      case 30:
        return "CREATE TABLE " + t + " PARTITION OF " + table() + " FOR VALUES IN (" + number() +
               ") PARTITION BY LIST (id)";
      case 31:
        return "CREATE TABLE " + t + " () INHERITS (" + table() + ")";
      case 32:
        return "INSERT INTO " + t + " (id) VALUES (" + number() + ")";
      default:
        return "ALTER TABLE " + t + " ADD " + column() + " int, DROP " + column() +
               ", ALTER a TYPE " + type() + " USING NULL";
    }
  }

  unsigned number_below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }

 private:
  std::string one_of(const char* letters, std::size_t count) {
    return std::string(1, letters[random_() % count]);
  }
  std::string name() { return "t" + one_of("12345", 5); }
  std::string schema() { return "s" + one_of("12", 2); }
  std::string table() { return random_() % 4 == 0 ? schema() + "." + name() : name(); }
  std::string column() { return one_of("abcdxy", 6); }
  std::string type() { return random_() % 3 == 0 ? "int" : "y" + one_of("1234", 4); }
  std::string number() { return one_of("123456", 6); }

  std::mt19937 random_;
};

// Whether it succeeded.
bool try_command(support::Session& session, const std::string& sql) {
  session.execute("SAVEPOINT each");
  try {
    session.execute(sql);
  } catch (const daystream::program::SqlError&) {
    session.execute("ROLLBACK TO each");
    return false;
  }
  session.execute("RELEASE each");
  return true;
}

}  // namespace

TEST_CASE("ddl: a storm of commands leaves no row untrue", "[managed][storm]") {
  const char* const given = std::getenv("STORM_SEED");
  const char* const length = std::getenv("STORM_TRANSACTIONS");
  const unsigned seed =
      given != nullptr ? static_cast<unsigned>(std::atoi(given)) : std::random_device{}();
  CAPTURE(seed);
  Storm storm(seed);
  Database db;
  db.execute("SELECT pg_create_logical_replication_slot('" + db.name() + "', 'deltaflood')");
  support::Session session = db.session();
  session.execute("SET client_min_messages = error");
  const int transactions = length != nullptr ? std::atoi(length) : 25;
  for (int i = 0; i < transactions; ++i) {
    session.execute(storm.number_below(3) == 0 ? "BEGIN ISOLATION LEVEL REPEATABLE READ" : "BEGIN");
    std::string done;
    const unsigned commands = 1 + storm.number_below(12);
    for (unsigned command = 0; command < commands; ++command) {
      const std::string sql = storm.command();
      const bool keep = storm.number_below(6) != 0;
      if (!keep) session.execute("SAVEPOINT taken_back");
      if (try_command(session, sql)) done += sql + (keep ? "; " : " (taken back); ");
      if (!keep) session.execute("ROLLBACK TO taken_back");
    }
    session.execute(storm.number_below(5) == 0 ? "ROLLBACK" : "COMMIT");
    CAPTURE(done);
    REQUIRE(db.untrue() == Lines{});
  }
  CHECK(db.scalar("SELECT count(*) FROM deltaflood.ddl WHERE kind = 'error'") == "0");
  // And the plugin, decoding the same, has come to the same.
  const auto lines = plugin_lines(db, "");
  for (const support::Row& row :
       db.query("SELECT relid FROM deltaflood.shapes() WHERE shape->>'kind' = 'r'")) {
    const std::string& oid = row[0].value();
    CHECK(line_of(db, oid) == (lines.contains(oid) ? lines.at(oid) : "no line of " + oid));
  }
  db.execute("SELECT pg_drop_replication_slot('" + db.name() + "')");
}
