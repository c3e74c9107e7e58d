// Row images: which lines a change becomes, by replica identity.
#include <catch2/catch.hpp>

#include "decoding.h"

using namespace plugin_test;

TEST_CASE("plugin: the lines of the design", "[plugin][rows]") {
  const Source source;
  source.execute("CREATE TABLE zzz (a text PRIMARY KEY, b text)");
  source.execute("INSERT INTO zzz VALUES ('fox61', NULL)");
  source.execute("UPDATE zzz SET b = 'hen62'");
  source.execute("UPDATE zzz SET a = 'fox49', b = NULL");
  source.execute("DELETE FROM zzz");
  const Lines expected = {
      "_table\tzzz\t_xid\t1\t_action\tinsert\ta\tfox61",
      "_table\tzzz\t_xid\t2\t_action\tupdate\ta\tfox61\tb\then62",
      "_table\tzzz\t_xid\t3\t_action\treplace\ta\tfox61",
      "_table\tzzz\t_xid\t3\t_action\tupdate\ta\tfox49\tb\t\\N",
      "_table\tzzz\t_xid\t4\t_action\tdelete\ta\tfox49",
  };
  CHECK(normalized(source.peek()) == expected);
  CHECK(normalized(source.receive()) == expected);
  CHECK(normalized(source.receive({{"batch-bytes", "8192"}})) == expected);
}

TEST_CASE("plugin: FULL tells the whole old row, NULLs included", "[plugin][rows]") {
  const Source source;
  source.execute("CREATE TABLE t (a int, b text); ALTER TABLE t REPLICA IDENTITY FULL");
  source.execute("INSERT INTO t VALUES (NULL, NULL)");
  source.execute("UPDATE t SET a = 1");
  source.execute("DELETE FROM t");
  CHECK(normalized(source.peek()) == Lines{
                                         "_table\tt\t_xid\t1\t_action\tinsert",
                                         "_table\tt\t_xid\t2\t_action\treplace\ta\t\\N\tb\t\\N",
                                         "_table\tt\t_xid\t2\t_action\tupdate\ta\t1\tb\t\\N",
                                         "_table\tt\t_xid\t3\t_action\tdelete\ta\t1\tb\t\\N",
                                     });
}

TEST_CASE("plugin: a change without identity says so", "[plugin][rows]") {
  const Source source;
  source.execute("CREATE TABLE t (a int)");
  source.execute("CREATE TABLE d (a int PRIMARY KEY DEFERRABLE)");
  source.execute("CREATE TABLE n (a int PRIMARY KEY); ALTER TABLE n REPLICA IDENTITY NOTHING");
  for (const char* table : {"t", "d", "n"}) {
    source.execute("INSERT INTO " + std::string(table) + " VALUES (1)");
    source.execute("UPDATE " + std::string(table) + " SET a = 2");
    source.execute("DELETE FROM " + std::string(table));
  }
  Lines expected;
  int xid = 0;
  for (const std::string table : {"t", "d", "n"}) {
    const auto head = [&] { return "_table\t" + table + "\t_xid\t" + std::to_string(++xid); };
    expected.push_back(head() + "\t_action\tinsert\ta\t1");
    expected.push_back(head() + "\t_identity\tnone\t_action\tupdate\ta\t2");
    expected.push_back(head() + "\t_identity\tnone\t_action\tdelete");
  }
  CHECK(normalized(source.peek()) == expected);
}

TEST_CASE("plugin: an index identity names rows by its columns", "[plugin][rows]") {
  const Source source;
  source.execute(
      "CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL UNIQUE, c text);"
      "ALTER TABLE t REPLICA IDENTITY USING INDEX t_b_key");
  source.execute("INSERT INTO t VALUES (1, 10, 'x')");
  source.execute("UPDATE t SET a = 2");
  source.execute("UPDATE t SET b = 20");
  source.execute("DELETE FROM t");
  CHECK(normalized(source.peek()) == Lines{
                                         "_table\tt\t_xid\t1\t_action\tinsert\ta\t1\tb\t10\tc\tx",
                                         "_table\tt\t_xid\t2\t_action\tupdate\ta\t2\tb\t10\tc\tx",
                                         "_table\tt\t_xid\t3\t_action\treplace\tb\t10",
                                         "_table\tt\t_xid\t3\t_action\tupdate\ta\t2\tb\t20\tc\tx",
                                         "_table\tt\t_xid\t4\t_action\tdelete\tb\t20",
                                     });
}

TEST_CASE("plugin: an unchanged TOAST value is absent, NULL is not", "[plugin][rows][toast]") {
  const Source source;
  source.execute(
      "CREATE TABLE t (a int PRIMARY KEY, b text, c int);"
      "ALTER TABLE t ALTER b SET STORAGE EXTERNAL");
  source.execute("INSERT INTO t VALUES (1, repeat('x', 5000), 1)");
  source.execute("UPDATE t SET c = 2");
  source.execute("UPDATE t SET a = 2");
  source.execute("UPDATE t SET b = b || ''");
  source.execute("UPDATE t SET b = NULL");
  const std::string toasted(5000, 'x');
  CHECK(normalized(source.peek()) ==
        Lines{
            "_table\tt\t_xid\t1\t_action\tinsert\ta\t1\tb\t" + toasted + "\tc\t1",
            "_table\tt\t_xid\t2\t_action\tupdate\ta\t1\tc\t2",
            "_table\tt\t_xid\t3\t_action\treplace\ta\t1",
            "_table\tt\t_xid\t3\t_action\tupdate\ta\t2\tc\t2",
            "_table\tt\t_xid\t4\t_action\tupdate\ta\t2\tb\t" + toasted + "\tc\t2",
            "_table\tt\t_xid\t5\t_action\tupdate\ta\t2\tb\t\\N\tc\t2",
        });
}

TEST_CASE("plugin: a TOASTed key is there in every old row", "[plugin][rows][toast]") {
  const Source source;
  source.execute(
      "CREATE TABLE t (a text PRIMARY KEY, b int);"
      "ALTER TABLE t ALTER a SET STORAGE EXTERNAL");
  source.execute("INSERT INTO t VALUES (repeat('k', 2500), 1)");
  source.execute("UPDATE t SET b = 2");
  source.execute("DELETE FROM t");
  const std::string key(2500, 'k');
  const Lines lines = source.peek();
  REQUIRE(lines.size() == 4);
  CHECK(Fields(lines[1]).action == "replace");
  CHECK(Fields(lines[1]).column("a") == key);
  CHECK(Fields(lines[3]).action == "delete");
  CHECK(Fields(lines[3]).column("a") == key);
}

TEST_CASE("plugin: rolled back changes are not there, savepoints' are", "[plugin][rows]") {
  const Source source;
  source.execute("CREATE TABLE t (a int PRIMARY KEY)");
  source.execute(
      "BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2);"
      "ROLLBACK TO s; SAVEPOINT r; INSERT INTO t VALUES (3); RELEASE r; COMMIT");
  source.execute("BEGIN; INSERT INTO t VALUES (4); ROLLBACK");
  source.execute("BEGIN; INSERT INTO t VALUES (5); PREPARE TRANSACTION 'p'");
  source.execute("COMMIT PREPARED 'p'");
  CHECK(normalized(source.peek()) == Lines{
                                         "_table\tt\t_xid\t1\t_action\tinsert\ta\t1",
                                         "_table\tt\t_xid\t1\t_action\tinsert\ta\t3",
                                         "_table\tt\t_xid\t2\t_action\tinsert\ta\t5",
                                     });
}

TEST_CASE("plugin: one truncate line a table, adjacent", "[plugin][rows]") {
  const Source source;
  source.execute("CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE u (b int REFERENCES t)");
  source.execute("TRUNCATE t CASCADE");
  CHECK(normalized(source.peek()) ==
        Lines{"_table\tt\t_xid\t1\t_action\ttruncate", "_table\tu\t_xid\t1\t_action\ttruncate"});
  CHECK(source.peek({{"include-truncate", "off"}}).empty());
  CHECK(source.peek({{"tables", "u"}}).size() == 1);
  CHECK(source.peek({{"actions", "insert"}}).empty());
}

TEST_CASE("plugin: a commit line ends a transaction that emitted something", "[plugin][rows]") {
  const Source source;
  source.execute("CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE u (a int)");
  source.execute("INSERT INTO t VALUES (1), (2)");
  source.execute("INSERT INTO u VALUES (1)");
  const Options options = {{"include-transaction", "on"}, {"tables", "t"}};
  for (const Lines& lines : {source.peek(options), source.receive(options)}) {
    REQUIRE(lines.size() == 3);
    const Fields commit(lines[2]);
    CHECK(commit.action == "commit");
    CHECK(commit.columns.empty());
    CHECK(commit.head("_xid") == Fields(lines[0]).head("_xid"));
    std::vector<std::string> keys;
    for (const auto& [name, value] : commit.heads) keys.push_back(name);
    CHECK(keys == std::vector<std::string>{"_xid", "_lsn", "_next", "_time"});
    CHECK(std::stoull(commit.head("_next").value()) > std::stoull(commit.head("_xid").value()));
    // Seconds since 1970, with six digits of microseconds.
    const std::string time = commit.head("_time").value();
    CHECK(time.find('.') == time.size() - 7);
    CHECK(source.scalar("SELECT abs(" + time + " - extract(epoch FROM now())) < 600") == "t");
  }
}

TEST_CASE("plugin: names are quoted as SQL needs them, bare in public", "[plugin][rows]") {
  const Source source;
  source.execute(
      "CREATE SCHEMA \"Odd s\"; CREATE TABLE \"Odd s\".\"tab\tle\" (\"_table\" int, "
      "\"a\\b\" int)");
  source.execute(
      "CREATE SCHEMA air; CREATE TABLE air.select (a int); CREATE TABLE \"Foo\" (a int)");
  source.execute("INSERT INTO \"Odd s\".\"tab\tle\" VALUES (1, 2)");
  source.execute("INSERT INTO air.select VALUES (1); INSERT INTO \"Foo\" VALUES (1)");
  const Lines lines = normalized(source.peek());
  CHECK(lines ==
        Lines{
            "_table\t\"Odd s\".\"tab\\tle\"\t_xid\t1\t_action\tinsert\t_table\t1\ta\\\\b\t2",
            "_table\tair.\"select\"\t_xid\t2\t_action\tinsert\ta\t1",
            "_table\t\"Foo\"\t_xid\t2\t_action\tinsert\ta\t1",
        });
}
