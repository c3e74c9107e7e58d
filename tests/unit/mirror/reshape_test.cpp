#include "apply/reshape.h"

#include <catch2/catch.hpp>

#include "fixture.h"

using namespace deltamirror;
using Rows = std::vector<std::string>;

namespace {

MemoryTable filled() {
  MemoryTable t({{1, "id", "integer", true}, {2, "a", "text", false}, {3, "b", "text", false}},
                {1});
  t.db.exec("INSERT INTO t VALUES(1, 'fox', 'x'), (2, 'hen', NULL)");
  t.table.indexes = {{"a"}, {"a", "b"}};
  for (const std::string& sql : create_index_sql(t.table)) t.db.exec(sql);
  return t;
}

std::string schema_of(const MemoryTable& t) {
  return t.db.value("SELECT sql FROM sqlite_schema WHERE name = 't'").value();
}

std::int64_t indexes_of(const MemoryTable& t) {
  return std::stoll(
      t.db.value("SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
          .value());
}

SchemaLine changed(const MemoryTable& t) {
  return {.shape = t.table.shape, .missing = {}, .facts = {}};
}

}  // namespace

TEST_CASE("reshape: an added column has its missing value in old rows", "[mirror][reshape]") {
  MemoryTable t = filled();
  SchemaLine line = changed(t);
  line.shape.columns.push_back({4, "n", "integer", false});
  line.shape.columns.push_back({5, "s", "text", false});
  line.missing = {{4, "7"}, {5, "it's"}};
  CHECK_FALSE(reshape(t.db, t.table, line, {}).needs_rewrite);
  CHECK(t.rows() == Rows{"1|fox|x|7|it's", "2|hen|NULL|7|it's"});
  CHECK(t.table.shape == line.shape);
}

TEST_CASE("reshape: a dropped column takes its indexes along, others stay", "[mirror][reshape]") {
  MemoryTable t = filled();
  SchemaLine line = changed(t);
  line.shape.columns.pop_back();
  const Reshaped result = reshape(t.db, t.table, line, {});
  CHECK_FALSE(result.notice.empty());
  CHECK(t.rows() == Rows{"1|fox", "2|hen"});
  CHECK(indexes_of(t) == 1);
  CHECK(t.table.indexes.size() == 1);
}

TEST_CASE("reshape: columns may swap names", "[mirror][reshape]") {
  MemoryTable t = filled();
  SchemaLine line = changed(t);
  std::swap(line.shape.columns[1].name, line.shape.columns[2].name);
  reshape(t.db, t.table, line, {});
  CHECK(t.db.value("SELECT b FROM t WHERE id = 1") == "fox");
  CHECK(indexes_of(t) == 2);
  CHECK(t.table.indexes[0] == std::vector<std::string>{"b"});
}

TEST_CASE("reshape: a column may take the name of one that goes away", "[mirror][reshape]") {
  MemoryTable t = filled();
  SchemaLine line = changed(t);
  line.shape.columns.erase(line.shape.columns.begin() + 1);
  line.shape.columns[1].name = "A";  // b; to SQLite the same as a
  reshape(t.db, t.table, line, {});
  CHECK(t.rows() == Rows{"1|x", "2|NULL"});
  CHECK(schema_of(t).find("\"A\" TEXT") != std::string::npos);
  CHECK(indexes_of(t) == 0);
  CHECK(t.table.indexes.empty());
}

TEST_CASE("reshape: a new key makes the table anew, rows and indexes kept", "[mirror][reshape]") {
  MemoryTable t = filled();
  SchemaLine line = changed(t);
  line.shape.primary_key = {2, 1};
  reshape(t.db, t.table, line, {});
  CHECK(schema_of(t).find("WITHOUT ROWID") != std::string::npos);
  CHECK(t.rows() == Rows{"1|fox|x", "2|hen|NULL"});
  CHECK(indexes_of(t) == 2);
}

TEST_CASE("reshape: a type that reads otherwise needs the rows anew", "[mirror][reshape]") {
  MemoryTable t = filled();
  SchemaLine line = changed(t);
  line.shape.columns[1].type = "integer";
  CHECK(reshape(t.db, t.table, line, {}).needs_rewrite);
  line = changed(t);
  line.shape.columns[2].type = "character varying(20)";
  CHECK_FALSE(reshape(t.db, t.table, line, {}).needs_rewrite);
}

TEST_CASE("reshape: an oid is not the integer with its bits", "[mirror][reshape]") {
  MemoryTable t = filled();
  SchemaLine line = changed(t);
  line.shape.columns[0].type = "oid";
  CHECK(reshape(t.db, t.table, line, {}).needs_rewrite);
}

TEST_CASE("reshape: names that SQLite cannot tell apart stop", "[mirror][reshape]") {
  MemoryTable t = filled();
  SchemaLine line = changed(t);
  line.shape.columns[2].name = "A";
  CHECK_THROWS_AS(reshape(t.db, t.table, line, {}), daystream::NeedsPerson);
}

TEST_CASE("reshape: an unknown user's type stops", "[mirror][reshape]") {
  MemoryTable t = filled();
  SchemaLine line = changed(t);
  line.shape.columns.push_back({4, "m", "public.mood", false});
  CHECK_THROWS_AS(reshape(t.db, t.table, line, {}), daystream::NeedsPerson);
}

TEST_CASE("reshape: a chosen subset of columns takes up no new one", "[mirror][reshape]") {
  MemoryTable t = filled();
  t.table.all_columns = false;
  SchemaLine line = changed(t);
  line.shape.columns.push_back({4, "n", "integer", false});
  reshape(t.db, t.table, line, {});
  CHECK(t.table.columns.size() == 3);
}
