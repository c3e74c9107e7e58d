// schema, drop and rewrite lines: DDL told in its own transaction.
#include <catch2/catch.hpp>
#include <random>

#include "decoding.h"

using namespace plugin_test;

namespace {

Lines told(const Source& source, const Options& more = {}) {
  Options options = {{"include-schema", "on"}};
  options.insert(options.end(), more.begin(), more.end());
  return normalized(source.peek(options));
}

}  // namespace

TEST_CASE("schema: a table's shape is told in its own transaction", "[plugin][schema]") {
  const Source source;
  source.execute("CREATE TABLE t (a int PRIMARY KEY, b numeric(10, 2) NOT NULL, \"C\" text[])");
  CHECK(told(source) ==
        Lines{"_table\tt\t_xid\t1\t_oid\tA\t_identity\td\t_pkey\t1\t_ikey\t1\t_action\t"
              "schema\ta\t1 integer not null\tb\t2 numeric(10,2) not null\tC\t3 text[]"});
}

TEST_CASE("schema: it is told once, and not for what changes nothing", "[plugin][schema]") {
  const Source source;
  source.execute("CREATE TABLE t (a int PRIMARY KEY, b int)");
  source.execute("INSERT INTO t VALUES (1, 1)");
  source.execute("ANALYZE t");
  source.execute("CREATE INDEX ON t (b)");
  source.execute("VACUUM FULL t");
  source.execute("CLUSTER t USING t_pkey");
  source.execute("CREATE TABLE other_dropped (a int); DROP TABLE other_dropped");
  source.execute("CREATE TEMP TABLE temp_dropped (a int); DROP TABLE temp_dropped");
  source.execute("INSERT INTO t VALUES (2, 1)");
  const Lines lines = told(source, {{"tables", "t"}});
  CHECK(lines.size() == 3);
  CHECK(without(lines, "insert").size() == 1);
  // A connection that has sent nothing yet tells no more.
  const Source fresh;
  fresh.execute("CREATE TABLE t (a int PRIMARY KEY, b int)");
  (void)fresh.scalar("SELECT pg_replication_slot_advance('" + fresh.database() +
                     "', pg_current_wal_lsn())::text");
  fresh.execute("ANALYZE t");
  fresh.execute("CREATE INDEX ON t (b)");
  CHECK(told(fresh).empty());
}

TEST_CASE("schema: DDL without later rows is told", "[plugin][schema]") {
  const Source source;
  source.execute("CREATE TABLE t (a int PRIMARY KEY, b int)");
  source.execute("ALTER TABLE t ADD COLUMN c int DEFAULT 7");
  source.execute("ALTER TABLE t RENAME b TO bb");
  source.execute("ALTER TABLE t REPLICA IDENTITY FULL");
  source.execute("ALTER TABLE t DROP COLUMN bb");
  source.execute("ALTER TABLE t RENAME TO u");
  source.execute("CREATE SCHEMA s; ALTER TABLE u SET SCHEMA s");
  source.execute("ALTER SCHEMA s RENAME TO s2");
  source.execute("DROP TABLE s2.u");
  const std::string a = "\ta\t1 integer not null";
  CHECK(told(source) ==
        Lines{
            "_table\tt\t_xid\t1\t_oid\tA\t_identity\td\t_pkey\t1\t_ikey\t1\t_action\tschema" + a +
                "\tb\t2 integer",
            "_table\tt\t_xid\t2\t_oid\tA\t_identity\td\t_pkey\t1\t_ikey\t1\t_missing_3\t7\t_"
            "action\tschema" +
                a + "\tb\t2 integer\tc\t3 integer",
            "_table\tt\t_xid\t3\t_oid\tA\t_identity\td\t_pkey\t1\t_ikey\t1\t_missing_3\t7\t_"
            "action\tschema" +
                a + "\tbb\t2 integer\tc\t3 integer",
            "_table\tt\t_xid\t4\t_oid\tA\t_identity\tf\t_pkey\t1\t_ikey\t\t_missing_3\t7\t_"
            "action\tschema" +
                a + "\tbb\t2 integer\tc\t3 integer",
            "_table\tt\t_xid\t5\t_oid\tA\t_identity\tf\t_pkey\t1\t_ikey\t\t_missing_3\t7\t_"
            "action\tschema" +
                a + "\tc\t3 integer",
            "_table\tu\t_xid\t6\t_oid\tA\t_identity\tf\t_pkey\t1\t_ikey\t\t_missing_3\t7\t_"
            "action\tschema" +
                a + "\tc\t3 integer",
            "_table\ts.u\t_xid\t7\t_oid\tA\t_identity\tf\t_pkey\t1\t_ikey\t\t_missing_3\t7\t_"
            "action\tschema" +
                a + "\tc\t3 integer",
            "_table\ts2.u\t_xid\t8\t_oid\tA\t_identity\tf\t_pkey\t1\t_ikey\t\t_missing_3\t7\t_"
            "action\tschema" +
                a + "\tc\t3 integer",
            "_table\ts2.u\t_xid\t9\t_oid\tA\t_action\tdrop",
        });
}

TEST_CASE("schema: a drop is told by a connection that has sent nothing", "[plugin][schema]") {
  const Source source;
  source.execute("CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE u (a int)");
  (void)source.scalar("SELECT pg_replication_slot_advance('" + source.database() +
                      "', pg_current_wal_lsn())::text");
  source.execute("DROP TABLE t");
  source.execute("DROP TABLE u");
  CHECK(told(source, {{"tables", "t"}}) == Lines{"_table\tt\t_xid\t1\t_oid\tA\t_action\tdrop"});
}

TEST_CASE("schema: tables that swap names are told before their rows", "[plugin][schema]") {
  const Source source;
  source.execute("CREATE TABLE a (x int); CREATE TABLE b (y text)");
  source.execute("INSERT INTO a VALUES (1)");
  source.execute(
      "BEGIN; ALTER TABLE a RENAME TO tmp; ALTER TABLE b RENAME TO a;"
      "ALTER TABLE tmp RENAME TO b; INSERT INTO a VALUES ('y'); INSERT INTO b VALUES (2);"
      "COMMIT");
  Lines lines = told(source);
  REQUIRE(lines.size() == 7);
  lines.erase(lines.begin(), lines.begin() + 3);
  for (const std::string& line : {lines[0], lines[1]}) CHECK(Fields(line).action == "schema");
  CHECK(lines[2] == "_table\ta\t_xid\t3\t_action\tinsert\ty\ty");
  CHECK(lines[3] == "_table\tb\t_xid\t3\t_action\tinsert\tx\t2");
}

TEST_CASE("schema: a rewritten table's rows come in order", "[plugin][schema][rewrite]") {
  const Source source;
  source.execute(
      "CREATE TABLE t (a int PRIMARY KEY, b text);"
      "ALTER TABLE t ALTER b SET STORAGE EXTERNAL");
  source.execute("INSERT INTO t VALUES (1, repeat('x', 5000))");
  source.execute(
      "BEGIN; INSERT INTO t VALUES (2, 'y'); ALTER TABLE t ALTER a TYPE bigint;"
      "INSERT INTO t VALUES (3, 'z'); COMMIT");
  source.execute("ALTER TABLE t ADD COLUMN c int GENERATED ALWAYS AS (a * 2) STORED");
  Lines lines = without(told(source, {{"include-xids", "off"}}), "schema");
  for (std::string& line : lines) {
    const auto at = line.find(std::string(5000, 'x'));
    if (at != std::string::npos) line.replace(at, 5000, "LONG");
  }
  CHECK(lines == Lines{
                     "_table\tt\t_action\tinsert\ta\t1\tb\tLONG",
                     "_table\tt\t_action\tinsert\ta\t2\tb\ty",
                     "_table\tt\t_action\trewrite",
                     "_table\tt\t_action\tinsert\ta\t1\tb\tLONG",
                     "_table\tt\t_action\tinsert\ta\t2\tb\ty",
                     "_table\tt\t_action\tinsert\ta\t3\tb\tz",
                     "_table\tt\t_action\trewrite",
                     "_table\tt\t_action\tinsert\ta\t1\tb\tLONG\tc\t2",
                     "_table\tt\t_action\tinsert\ta\t2\tb\ty\tc\t4",
                     "_table\tt\t_action\tinsert\ta\t3\tb\tz\tc\t6",
                 });
  // Readers that are not told of shapes are not told of rewrites.
  CHECK(source.peek().size() == 3);
}

TEST_CASE("schema: a materialized view is nobody's table", "[plugin][schema][rewrite]") {
  const Source source;
  source.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
  source.execute("CREATE MATERIALIZED VIEW m AS SELECT * FROM t");
  source.execute("REFRESH MATERIALIZED VIEW m");
  for (const std::string& line : told(source)) CHECK(Fields(line).head("_table") == "t");
}

TEST_CASE("schema: a table leaves and joins the log with its persistence", "[plugin][schema]") {
  const Source source;
  source.execute("CREATE UNLOGGED TABLE t (a int PRIMARY KEY)");
  source.execute("INSERT INTO t VALUES (1)");
  source.execute("ALTER TABLE t SET LOGGED");
  source.execute("ALTER TABLE t SET UNLOGGED");
  std::string actions;
  for (const std::string& line : told(source)) actions += Fields(line).action + " ";
  CHECK(actions == "schema rewrite insert drop ");
}

TEST_CASE("schema: partitions by their own name, or by their root's",
          "[plugin][schema][partition]") {
  const Source source;
  source.execute(
      "CREATE TABLE r (a int PRIMARY KEY, b text) PARTITION BY RANGE (a);"
      "CREATE TABLE p1 PARTITION OF r FOR VALUES FROM (0) TO (10);"
      "CREATE TABLE p2 (b text, a int NOT NULL PRIMARY KEY)");
  source.execute("INSERT INTO p2 VALUES ('two', 12)");
  source.execute("ALTER TABLE r ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20)");
  source.execute("INSERT INTO r VALUES (1, 'one'); UPDATE r SET a = 11 WHERE a = 1");
  source.execute("TRUNCATE p1");
  source.execute("TRUNCATE r");
  source.execute("ALTER TABLE r DETACH PARTITION p1");
  const Options root = {{"partition-root", "on"}, {"tables", "r"}, {"include-xids", "off"}};
  CHECK(
      told(source, root) ==
      Lines{
          "_table\tr\t_oid\tA\t_identity\td\t_pkey\t1\t_ikey\t1\t_action\tschema\ta\t1 integer not "
          "null\tb\t2 text",
          "_table\tp2\t_oid\tB\t_root\tA\t_identity\td\t_pkey\t2\t_ikey\t2\t_action\tschema\tb\t1 "
          "text\ta\t2 integer not null",
          "_table\tr\t_action\tinsert\ta\t1\tb\tone",
          "_table\tr\t_action\tdelete\ta\t1",
          "_table\tr\t_action\tinsert\tb\tone\ta\t11",
          "_table\tp1\t_root\tA\t_action\ttruncate",
          "_table\tr\t_action\ttruncate",
          "_table\tp1\t_oid\tC\t_root\tA\t_action\tdrop",
      });
  std::string tables;
  for (const std::string& line : source.peek({{"tables", "r"}})) {
    tables += Fields(line).head("_table").value() + ":" + Fields(line).action + " ";
  }
  // p2's first row is from before it was a part of r.
  CHECK(tables == "p1:insert p1:delete p2:insert p1:truncate p1:truncate p2:truncate ");
  CHECK(source.peek({{"tables", "r"}, {"exclude-tables", "p1"}}).size() == 2);
}

TEST_CASE("schema: a partition that was elsewhere for a while has left and comes with its rows",
          "[plugin][schema][partition]") {
  const Source source;
  source.execute(
      "CREATE TABLE r (a int PRIMARY KEY) PARTITION BY RANGE (a);"
      "CREATE TABLE p PARTITION OF r FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (a);"
      "CREATE TABLE leaf PARTITION OF p FOR VALUES FROM (0) TO (10);"
      "CREATE TABLE other (a int PRIMARY KEY) PARTITION BY RANGE (a);"
      "CREATE TABLE part PARTITION OF other FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (a)");
  const std::string changes = GENERATE(as<std::string>{}, "", "INSERT INTO other VALUES (1);");
  source.execute(
      "BEGIN; ALTER TABLE r DETACH PARTITION p;"
      "ALTER TABLE part ATTACH PARTITION p FOR VALUES FROM (0) TO (10);" +
      changes +
      "ALTER TABLE part DETACH PARTITION p;"
      "ALTER TABLE r ATTACH PARTITION p FOR VALUES FROM (0) TO (10); COMMIT");
  std::string actions;
  for (const std::string& line : told(source, {{"tables", "r"}, {"partition-root", "on"}})) {
    actions += Fields(line).head("_table").value() + ":" + Fields(line).action + " ";
  }
  CHECK(actions ==
        (changes.empty() ? "r:schema " : "r:schema p:drop leaf:drop p:schema leaf:schema "));
}

TEST_CASE("schema: a table is left out from where its name, or its root's, is another",
          "[plugin][schema][partition]") {
  const bool by_root = GENERATE(false, true);
  CAPTURE(by_root);
  const Source source;
  source.execute(
      "CREATE TABLE r (a int PRIMARY KEY) PARTITION BY RANGE (a);"
      "CREATE TABLE p PARTITION OF r FOR VALUES FROM (0) TO (10);"
      "CREATE TABLE other (a int PRIMARY KEY)");
  source.execute("INSERT INTO r VALUES (1)");
  source.execute("ALTER TABLE r RENAME TO z");
  source.execute("INSERT INTO z VALUES (2)");
  source.execute("ALTER TABLE z RENAME TO r; INSERT INTO r VALUES (3)");
  // Within one transaction, and back again before it ends.
  source.execute(
      "BEGIN; INSERT INTO r VALUES (4); ALTER TABLE r RENAME TO z; INSERT INTO z VALUES (5);"
      "ALTER TABLE z RENAME TO r; INSERT INTO r VALUES (6); COMMIT");
  // A change of a table that was never followed tells nothing of others.
  source.execute(
      "BEGIN; ALTER TABLE r RENAME TO z; INSERT INTO other VALUES (1); ALTER TABLE z RENAME TO r; "
      "COMMIT");
  std::string actions;
  for (const std::string& line :
       told(source, {{"tables", "r"}, {"partition-root", by_root ? "on" : "off"}})) {
    actions += Fields(line).action + " ";
  }
  CHECK(actions == "schema insert drop schema insert insert drop schema insert ");
}
