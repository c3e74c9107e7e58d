#include "apply/table_plan.h"

#include <catch2/catch.hpp>

#include "fixture.h"

using namespace deltamirror;
using Rows = std::vector<std::string>;

namespace {

MemoryTable keyed() {
  return MemoryTable({{1, "id", "integer", true}, {2, "a", "text", false}, {3, "b", "text", false}},
                     {1});
}

}  // namespace

TEST_CASE("plan: rows come, change and go", "[mirror][plan]") {
  MemoryTable t = keyed();
  TablePlan plan(t.db, t.table);
  plan.insert("id\t1\ta\tfox\tb\tx\\ty");
  plan.insert("id\t2\tb\t\\N");
  CHECK(t.rows() == Rows{"1|fox|x\ty", "2|NULL|NULL"});
  plan.update("id\t2\ta\then\tb\t");
  CHECK(t.rows() == Rows{"1|fox|x\ty", "2|hen|"});
  plan.erase("id\t1");
  CHECK(t.rows() == Rows{"2|hen|"});
  plan.truncate();
  CHECK(t.rows().empty());
}

TEST_CASE("plan: a text that looks like the mark of NULL stays what it is", "[mirror][plan]") {
  MemoryTable t = keyed();
  TablePlan plan(t.db, t.table);
  plan.insert("id\t1\ta\t\\\\N\tb\t\\N");
  CHECK(t.rows() == Rows{"1|\\N|NULL"});
}

TEST_CASE("plan: what an update leaves out is unchanged, also when the key changes",
          "[mirror][plan]") {
  MemoryTable t = keyed();
  TablePlan plan(t.db, t.table);
  plan.insert("id\t1\ta\ttoasted\tb\tx");
  plan.update("id\t1\tb\ty");
  CHECK(t.rows() == Rows{"1|toasted|y"});
  plan.replace("id\t1");
  CHECK(plan.replace_open());
  plan.update("id\t5\tb\tz");
  CHECK_FALSE(plan.replace_open());
  CHECK(t.rows() == Rows{"5|toasted|z"});
}

TEST_CASE("plan: a row that is not there, or is there already, is divergence", "[mirror][plan]") {
  MemoryTable t = keyed();
  TablePlan plan(t.db, t.table);
  plan.insert("id\t1\ta\tfox");
  CHECK_THROWS_AS(plan.insert("id\t1\ta\then"), Diverged);
  CHECK_THROWS_AS(plan.update("id\t2\ta\then"), Diverged);
  CHECK_THROWS_AS(plan.erase("id\t2"), Diverged);
  plan.replace("id\t2");
  CHECK_THROWS_WITH(plan.update("id\t3\ta\tx"),
                    "table \"t\" lacks the row with id=2 that the stream's update is about");
  CHECK(t.rows() == Rows{"1|fox|NULL"});
}

TEST_CASE("plan: a delete without the key stops", "[mirror][plan]") {
  MemoryTable t = keyed();
  TablePlan plan(t.db, t.table);
  CHECK_THROWS_AS(plan.erase("a\tfox"), daystream::NeedsPerson);
  CHECK_THROWS_AS(plan.update("a\tfox"), daystream::NeedsPerson);
}

TEST_CASE("plan: a column that no schema told stops", "[mirror][plan]") {
  MemoryTable t = keyed();
  TablePlan plan(t.db, t.table);
  CHECK_THROWS_AS(plan.insert("id\t1\tnew\tx"), daystream::ProtocolError);
}

TEST_CASE("plan: without a key one change is about one of the twins", "[mirror][plan]") {
  MemoryTable t({{1, "a", "text", false}, {2, "b", "integer", false}}, {}, 'f');
  TablePlan plan(t.db, t.table);
  for (int i = 0; i < 3; ++i) plan.insert("a\tfox\tb\t\\N");
  plan.insert("a\t\\N\tb\t\\N");
  plan.erase("a\tfox\tb\t\\N");
  plan.replace("a\tfox\tb\t\\N");
  plan.update("a\then\tb\t1");
  plan.erase("a\t\\N\tb\t\\N");
  CHECK(t.rows() == Rows{"fox|NULL", "hen|1"});
  CHECK_THROWS_AS(plan.erase("a\twolf\tb\t\\N"), Diverged);
}

TEST_CASE("plan: text and composite keys cluster their table", "[mirror][plan]") {
  MemoryTable t({{1, "a", "text", true}, {2, "b", "integer", true}, {3, "c", "text", false}},
                {1, 2});
  CHECK(create_table_sql(t.table, "t") ==
        "CREATE TABLE \"t\"(\"a\" TEXT NOT NULL, \"b\" INTEGER NOT NULL, \"c\" TEXT, "
        "PRIMARY KEY(\"a\", \"b\")) WITHOUT ROWID");
  TablePlan plan(t.db, t.table);
  plan.insert("a\tx\tb\t1\tc\tq");
  plan.replace("a\tx\tb\t1");
  plan.update("a\tx\tb\t2\tc\tr");
  CHECK(t.rows() == Rows{"x|2|r"});
}

TEST_CASE("plan: rows without a key are found beside columns with SQLite's names for the rowid",
          "[mirror][plan]") {
  MemoryTable t({{1, "rowid", "integer", false}, {2, "OID", "text", false}}, {}, 'f');
  TablePlan plan(t.db, t.table);
  plan.insert("rowid\t7\tOID\tx");
  plan.insert("rowid\t7\tOID\ty");
  plan.insert("rowid\t7\tOID\ty");
  plan.erase("rowid\t7\tOID\ty");
  CHECK(t.rows() == Rows{"7|x", "7|y"});
  plan.replace("rowid\t7\tOID\tx");
  plan.update("rowid\t8\tOID\tx");
  CHECK(t.rows() == Rows{"7|y", "8|x"});

  MemoryTable all({{1, "rowid", "integer", false},
                   {2, "_rowid_", "integer", false},
                   {3, "oid", "integer", false}},
                  {}, 'f');
  CHECK_THROWS_WITH(TablePlan(all.db, all.table),
                    "table \"t\" has no key, and columns with all three names of SQLite's rowid");
}

TEST_CASE("plan: the widest table, without a key", "[mirror][plan]") {
  MemoryTable t(widest_columns(), {}, 'f');
  TablePlan plan(t.db, t.table);
  plan.insert("c1\t1\tc1600\tx");
  plan.insert("c1\t1\tc1600\ty");
  std::string row = "c1\t1";
  for (int i = 2; i < 1600; ++i) row += "\tc" + std::to_string(i) + "\t\\N";
  plan.erase(row + "\tc1600\tx");
  CHECK(t.db.value("SELECT group_concat(c1 || c1600) FROM t") == "1y");
}
