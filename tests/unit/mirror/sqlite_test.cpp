// What no text in a mirror's schema can do: the file may be somebody else's (docs/security.md).
#include "sqlite/sqlite.h"

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <optional>

#include "fixture.h"
#include "seed/shadow.h"
#include "support/scratch_dir.h"

using namespace deltamirror;
using Texts = std::vector<std::string>;

namespace {

// SQLite without any of our settings, as whoever makes a file may have it.
void run_as_anybody(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  char* message = nullptr;
  const int code = sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &message);
  CAPTURE(sql, message == nullptr ? "" : message);
  CHECK(code == SQLITE_OK);
  sqlite3_free(message);
  sqlite3_close(db);
}

// Counts without end.
const std::string kEndless =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

}  // namespace

TEST_CASE("sqlite: text with a second statement is no statement", "[mirror][sqlite]") {
  Database db(":memory:", Database::Mode::Create);
  db.exec_one("CREATE TABLE t(a) ; \n");
  db.exec_one(
      "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; END");
  for (const char* text :
       {"DROP TABLE t; DROP TABLE t", "DELETE FROM t; x", "SELECT 1; -- x", "", " -- nothing"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(db.exec_one(text), NotOneStatement);
  }
  CHECK_THROWS_WITH(db.exec_one("DELETE FROM t; DROP TABLE t"),
                    "mirror \":memory:\": what should be one statement is several");
  CHECK(has_table(db, "t"));
}

TEST_CASE("sqlite: no connection attaches a file, trusts a schema or lets it be written",
          "[mirror][sqlite]") {
  support::ScratchDir dir;
  const std::string other = dir.path() / "other.db";
  Database db(dir.path() / "m.db", Database::Mode::Create);
  CHECK_THROWS_WITH(db.exec("ATTACH '" + other + "' AS o"), Catch::Contains("too many attached"));
  CHECK_FALSE(std::filesystem::exists(other));
  CHECK(db.value("PRAGMA trusted_schema") == "0");
  db.exec("CREATE TABLE t(a); PRAGMA writable_schema = ON");
  CHECK_THROWS_WITH(db.exec("DELETE FROM sqlite_schema"), Catch::Contains("may not be modified"));
  // Where we change a name of its own, the door closes behind us.
  alter_table(db, "ALTER TABLE t RENAME TO u");
  CHECK(has_table(db, "u"));
  db.exec("PRAGMA writable_schema = ON");
  CHECK_THROWS_AS(db.exec("DELETE FROM sqlite_schema"), SqliteError);
}

// The file would be there for nobody any more: each statement on it fails.
TEST_CASE("sqlite: what would leave a schema that cannot be read is taken back",
          "[mirror][sqlite]") {
  const auto [beside, change] = GENERATE(table<std::string, std::string>({
      {"SELECT 1", "RENAME COLUMN a TO b"},
      {"CREATE INDEX i ON t(a)", "DROP COLUMN a"},
      {"CREATE INDEX i ON t(b) WHERE a > 1", "DROP COLUMN a"},
      {"ALTER TABLE t ADD COLUMN c AS (a + 1)", "DROP COLUMN a"},
  }));
  CAPTURE(beside, change);
  const bool in_transaction = GENERATE(false, true);
  support::ScratchDir dir;
  const std::string path = dir.path() / "m.db";
  Database db(path, Database::Mode::Create);
  db.exec(
      "CREATE TABLE t(a, b); CREATE VIEW broken AS SELECT x FROM t; INSERT INTO t VALUES(1, 2)");
  db.exec(beside);
  std::optional<WriteTransaction> transaction;
  if (in_transaction) {
    transaction.emplace(db);
    db.exec("INSERT INTO t(a, b) VALUES(3, 4)");
  }
  try {
    alter_table(db, "ALTER TABLE t " + change);
    FAIL("it can be read");
  } catch (const SqliteError& e) {
    CHECK(e.is_of_schema());
    CHECK_THAT(e.what(), Catch::EndsWith("after ALTER TABLE t " + change));
  }
  CHECK(db.value("SELECT sum(a) FROM t") == (in_transaction ? "4" : "1"));
  if (transaction) transaction->commit();
  CHECK(Database(path, Database::Mode::ReadOnly).value("SELECT max(b) FROM t") ==
        (in_transaction ? "4" : "2"));
  CHECK_NOTHROW(alter_table(db, "ALTER TABLE t RENAME COLUMN b TO z"));
}

// SQLite says so of it with a code of its own, which it does not let pass as it does a column that
// is gone.
TEST_CASE("sqlite: a view with a collation that only its user's program has is in nobody's way",
          "[mirror][sqlite]") {
  Database db(":memory:", Database::Mode::Create);
  db.exec(
      "CREATE TABLE t(a, b); CREATE VIEW v AS SELECT a COLLATE theirs AS n FROM t;"
      "CREATE VIEW w AS SELECT n FROM v ORDER BY n");
  const auto [change, in_view] = GENERATE(table<std::string, std::string>({
      {"RENAME TO u", "FROM \"u\""},
      {"RENAME COLUMN a TO c", "SELECT c COLLATE"},
      {"DROP COLUMN b", "FROM t"},
  }));
  alter_table(db, "ALTER TABLE t " + change);
  CHECK_THAT(db.value("SELECT sql FROM sqlite_schema WHERE name = 'v'").value(),
             Catch::Contains(in_view));
  // Nothing is ever sorted by it here.
  CHECK_THROWS_WITH(db.exec("CREATE TABLE o(a); CREATE INDEX i ON o(a COLLATE theirs)"),
                    Catch::Contains("no such collation"));
}

TEST_CASE("sqlite: what a savepoint takes back, the schema, too, is as before",
          "[mirror][sqlite]") {
  Database db(":memory:", Database::Mode::Create);
  db.exec("CREATE TABLE t(a, b)");
  const WriteTransaction transaction(db);
  {
    const Savepoint before(db);
    alter_table(db, "ALTER TABLE t RENAME COLUMN a TO c");
  }
  alter_table(db, "ALTER TABLE t DROP COLUMN a");
  CHECK(db.value("SELECT group_concat(name) FROM pragma_table_info('t')") == "b");
}

TEST_CASE("sqlite: a statement without end ends once that is asked for", "[mirror][sqlite]") {
  Database db(":memory:", Database::Mode::Create);
  int looks = 0;
  db.give_up_when([&] { return ++looks > 5; }, std::chrono::milliseconds(0));
  try {
    db.value(kEndless);
    FAIL("it ended");
  } catch (const SqliteError& e) {
    CHECK(e.code() == SQLITE_INTERRUPT);
  }
  // Until then nothing is broken off.
  looks = -1'000'000;
  CHECK(db.value("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000) "
                 "SELECT count(*) FROM n") == "300000");
}

TEST_CASE("shadow: what a file says of an index or a trigger is run as one statement",
          "[mirror][sqlite]") {
  support::ScratchDir dir;
  const std::string path = dir.path() / "m.db";
  const std::string other = dir.path() / "other.db";
  run_as_anybody(other, "CREATE TABLE precious(a); INSERT INTO precious VALUES(1)");
  MemoryTable t({{1, "id", "integer", true}, {2, "a", "text", false}}, {1});
  run_as_anybody(path, create_table_sql(t.table, "t") +
                           "; CREATE INDEX good ON t(a); CREATE INDEX bad ON t(a);"
                           "CREATE TRIGGER worse AFTER INSERT ON t BEGIN SELECT 1; END;"
                           "PRAGMA writable_schema = ON;"
                           "UPDATE sqlite_schema SET sql = sql || '; ATTACH ''" +
                           other +
                           "'' AS o; DELETE FROM o.precious' WHERE name IN ('bad', 'worse')");
  {
    Database db(path, Database::Mode::ReadWrite);
    t.table.standing.set_aside = {"DROP TRIGGER worse", "ATTACH 'TRIGGER' AS x"};
    Shadow shadow(db, t.table);
    shadow.put_in_place();
    CHECK(shadow.left_out().size() == 2);
    const auto names = db.value(
        "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema WHERE sql IS NOT NULL "
        "ORDER BY 1)");
    CHECK(names == "good,t");
    db.exec("DROP TABLE t");
    // Where the table is not there, what was set aside is all that is known.
    CHECK_THROWS_WITH(Shadow(db, t.table), Catch::Contains("is no index as SQLite writes them"));
  }
  Database db(other, Database::Mode::ReadOnly);
  CHECK(db.value("SELECT count(*) FROM precious") == "1");
}

TEST_CASE("sqlite: a file that may not grow is a full disk, also to a commit", "[mirror][sqlite]") {
  const support::ScratchDir dir;
  Database db((dir.path() / "m.db").string(), Database::Mode::Create);
  db.exec("PRAGMA journal_mode = WAL; CREATE TABLE t(x)");
  signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit little{4096, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &little) == 0);
  bool retryable = false;
  std::string what;
  try {
    db.exec("BEGIN; INSERT INTO t VALUES(1)");
    db.exec("COMMIT");
  } catch (const SqliteError& e) {
    retryable = e.retryable();
    what = e.what();
  }
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  CAPTURE(what);
  CHECK(retryable);
}
