#include "apply/reshape.h"

#include <catch2/catch.hpp>

#include "apply/needs_reseed.h"
#include "filter/row_filter.h"
#include "fixture.h"
#include "store/absent_table.h"

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

TEST_CASE("reshape: the days to come of a history have the indexes whose columns are there",
          "[mirror][reshape]") {
  MemoryTable t = filled();
  t.table.mode = TableMode::History;
  t.table.wish.text = R"({"table": "t", "indexes": [["a"], ["a", "b"]]})";
  SchemaLine line = changed(t);
  line.shape.columns.pop_back();
  line.shape.columns[1].name = "x";
  reshape_history(t.table, line, {});
  CHECK(t.table.indexes == std::vector<std::vector<std::string>>{{"x"}});
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

TEST_CASE("reshape: a new key makes the table again, rows and indexes kept", "[mirror][reshape]") {
  MemoryTable t = filled();
  SchemaLine line = changed(t);
  line.shape.primary_key = {2, 1};
  reshape(t.db, t.table, line, {});
  CHECK(schema_of(t).find("WITHOUT ROWID") != std::string::npos);
  CHECK(t.rows() == Rows{"1|fox|x", "2|hen|NULL"});
  CHECK(indexes_of(t) == 2);
}

TEST_CASE("reshape: a type that reads otherwise needs the rows again", "[mirror][reshape]") {
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
  t.table.choice.all_columns = false;
  SchemaLine line = changed(t);
  line.shape.columns.push_back({4, "n", "integer", false});
  reshape(t.db, t.table, line, {});
  CHECK(t.table.columns.size() == 3);
}

namespace {

// Of t(id, a, b) the mirror has id and a, by a list.
MemoryTable chosen() {
  MemoryTable t({{1, "id", "integer", true}, {2, "a", "text", false}}, {1});
  t.db.exec("INSERT INTO t VALUES(1, 'fox'), (2, 'hen')");
  t.table.shape.columns.push_back({3, "b", "text", false});
  t.table.choice.all_columns = false;
  t.table.wish.text = R"({"table": "t", "columns": ["id", "a"]})";
  return t;
}

std::string names_of(const MemoryTable& t) {
  return t.db.value("SELECT group_concat(name) FROM pragma_table_info('t')").value();
}

}  // namespace

TEST_CASE("reshape: a chosen column is the one that has its name, or had it last",
          "[mirror][reshape][chosen]") {
  MemoryTable t = chosen();
  SchemaLine line = changed(t);
  line.shape.columns[1].name = "old";
  reshape(t.db, t.table, line, {});
  CHECK(names_of(t) == "id,old");  // as long as there is no other

  SECTION("another column comes") {
    line.shape.columns[1].name = "older";
    reshape(t.db, t.table, line, {});
    line.shape.columns.push_back({4, "a", "text", false});
    line.missing = {{4, "new"}};
    CHECK_FALSE(reshape(t.db, t.table, line, {}).needs_rewrite);
    CHECK(names_of(t) == "id,a");
    CHECK(t.rows() == Rows{"1|new", "2|new"});
    // Only a copy has the rows of the first one, which the mirror has given up.
    line.shape.columns.pop_back();
    line.shape.columns[1].name = "a";
    CHECK_THROWS_WITH(reshape(t.db, t.table, line, {}),
                      "column \"a\" of table t is another column now");
  }
  SECTION("and at once") {
    line.shape.columns.push_back({4, "a", "text", false});
    line.shape.columns[1].name = "older";
    reshape(t.db, t.table, line, {});
    CHECK(t.rows() == Rows{"1|NULL", "2|NULL"});
  }
  SECTION("it is called as before again") {
    line.shape.columns[1].name = "a";
    reshape(t.db, t.table, line, {});
    CHECK(t.rows() == Rows{"1|fox", "2|hen"});
    CHECK(t.table.columns[1].asked.empty());
  }
  SECTION("one that is not mirrored takes its name") {
    line.shape.columns[2].name = "a";
    CHECK_THROWS_AS(reshape(t.db, t.table, line, {}), NeedsReseed);
  }
  SECTION("what is remembered of it is stored") {
    create_catalog(t.db);
    save_table(t.db, t.table);
    const std::vector<MirroredTable> stored = load_tables(t.db);
    REQUIRE(stored.size() == 1);
    CHECK(stored[0].columns[1].asked == "a");
  }
}

TEST_CASE("reshape: what a configuration says of a column is of the one that has the name",
          "[mirror][reshape][chosen]") {
  MemoryTable t = filled();
  t.table.wish.text = R"({"table": "t", "rename": {"a": "x"}, "types": {"x": "text"}})";
  t.table.columns[1].name = "x";
  t.table.columns[1].type_override = "text";
  t.table.indexes.clear();
  t.db.exec("ALTER TABLE t RENAME COLUMN a TO x");
  SchemaLine line = changed(t);
  SECTION("of another type here: its values have to be copied") {
    std::swap(line.shape.columns[1].name, line.shape.columns[2].name);
    CHECK_THROWS_AS(reshape(t.db, t.table, line, {}), NeedsReseed);
  }
  SECTION("of the same") {
    t.table.wish.text = R"({"table": "t", "rename": {"a": "x"}})";
    t.table.columns[1].type_override.clear();
    std::swap(line.shape.columns[1].name, line.shape.columns[2].name);
    reshape(t.db, t.table, line, {});
    CHECK(t.db.value("SELECT b || coalesce(x, '') FROM t WHERE id = 1") == "foxx");
  }
  SECTION("a where chooses by it") {
    t.table.wish.text = R"({"table": "t", "where": "a = 'fox'"})";
    t.table.columns[1].type_override.clear();
    t.table.choice.where = std::make_shared<RowFilter>("a = 'fox'", t.table.shape, TypeNames());
    line.shape.columns[1].name = "old";
    line.shape.columns.push_back({4, "a", "text", false});
    CHECK_THROWS_AS(reshape(t.db, t.table, line, {}), NeedsReseed);
  }
}

namespace {

// A table of exact decimals: n, and n_num beside it, with an index.
MemoryTable decimals() {
  MemoryTable t({{1, "id", "integer", true}, {2, "n", "numeric", false}}, {1});
  t.db.exec("INSERT INTO t VALUES(1, '9.50'), (2, '10.0'), (3, 'NaN'), (4, '-Infinity')");
  t.table.indexes = {{"n_num"}};
  for (const std::string& sql : create_index_sql(t.table)) t.db.exec(sql);
  return t;
}

std::string order_by(const MemoryTable& t, const std::string& column) {
  return t.db.value("SELECT group_concat(id) FROM (SELECT id FROM t ORDER BY " + column + ")")
      .value_or("");
}

}  // namespace

TEST_CASE("reshape: exact decimals compare as numbers in a column beside them",
          "[mirror][reshape][numbers]") {
  MemoryTable t = decimals();
  CHECK(order_by(t, "n_num") == "4,1,2,3");
  CHECK(t.db.value("SELECT count(*) FROM t WHERE n_num > 9.75") == "2");  // also NaN, as there
  SchemaLine line = changed(t);

  SECTION("which follows when it is renamed, with its index") {
    line.shape.columns[1].name = "total";
    reshape(t.db, t.table, line, {});
    CHECK(order_by(t, "total_num") == "4,1,2,3");
    CHECK(indexes_of(t) == 1);
    CHECK(t.table.indexes == std::vector<std::vector<std::string>>{{"total_num"}});
  }
  SECTION("which gives way to a column that comes with its name, and comes back") {
    line.shape.columns.push_back({3, "N_Num", "integer", false});
    reshape(t.db, t.table, line, {});
    CHECK(t.rows() == Rows{"1|9.50|NULL", "2|10.0|NULL", "3|NaN|NULL", "4|-Infinity|NULL"});
    line.shape.columns.pop_back();
    reshape(t.db, t.table, line, {});
    CHECK(order_by(t, "n_num") == "4,1,2,3");
  }
  SECTION("which gives way to a column that is renamed to its name") {
    line.shape.columns.push_back({3, "x", "text", false});
    reshape(t.db, t.table, line, {});
    line.shape.columns[2].name = "n_num";
    reshape(t.db, t.table, line, {});
    CHECK(t.db.value("SELECT count(n_num) FROM t") == "0");
  }
  SECTION("which goes when it goes") {
    line.shape.columns.pop_back();
    reshape(t.db, t.table, line, {});
    CHECK(t.rows() == Rows{"1", "2", "3", "4"});
    CHECK(t.table.indexes.empty());
  }
  SECTION("which comes with it") {
    line.shape.columns.push_back({3, "m", "numeric(20,2)", false});
    reshape(t.db, t.table, line, {});
    CHECK(t.db.value("SELECT count(*) FROM t WHERE m_num IS NULL") == "4");
  }
}

// Of an index on an expression SQLite does not say which columns it reads.
TEST_CASE("reshape: somebody's index on an expression of a number column is set aside with it",
          "[mirror][reshape][numbers]") {
  MemoryTable t = decimals();
  const std::string on_expression = "CREATE INDEX by_hand ON t(abs(n_num))";
  const std::string partial = "CREATE INDEX partial ON t(id) WHERE n_num > 1";
  t.db.exec(on_expression + ";" + partial + "; CREATE INDEX other ON t(abs(id))");
  const auto has = [&](const std::string& name) {
    return t.db.value("SELECT 1 FROM sqlite_schema WHERE name = '" + name + "'").has_value();
  };
  const auto is_set_aside = [&](const Reshaped& result) {
    CHECK(t.table.standing.set_aside == Rows{on_expression, partial});
    CHECK_THAT(result.notice, Catch::Contains(on_expression) && Catch::Contains(partial));
    CHECK_FALSE(has("by_hand"));
    CHECK(has("other"));
  };
  SchemaLine line = changed(t);
  SECTION("dropped, and there again") {
    const SourceColumn n = line.shape.columns.back();
    line.shape.columns.pop_back();
    is_set_aside(reshape(t.db, t.table, line, {}));
    line.shape.columns.push_back(n);
    reshape(t.db, t.table, line, {});
    make_again(t.db, t.table);
    CHECK(t.table.standing.set_aside.empty());
    CHECK(has("by_hand"));
    CHECK(has("partial"));
  }
  SECTION("of another type") {
    line.shape.columns[1].type = "integer";
    is_set_aside(reshape(t.db, t.table, line, {}));
  }
  SECTION("renamed") {
    line.shape.columns[1].name = "total";
    CHECK(reshape(t.db, t.table, line, {}).notice.empty());
    CHECK(has("by_hand"));
    CHECK(t.table.standing.set_aside.empty());
  }
  SECTION("giving way to a column with its name") {
    line.shape.columns.push_back({3, "n_num", "integer", false});
    is_set_aside(reshape(t.db, t.table, line, {}));
    make_again(t.db, t.table);
    CHECK(has("by_hand"));
    CHECK(t.db.value("SELECT count(*) FROM t") == "4");
  }
}

TEST_CASE("reshape: numbers become exact text where a numeric may have more digits than before",
          "[mirror][reshape][numbers]") {
  MemoryTable t({{1, "id", "integer", true},
                 {2, "n", "numeric(10,2)", false},
                 {3, "w", "numeric(6,0)", false}},
                {1});
  t.db.exec(
      "INSERT INTO t VALUES(1, 1.5, 7), (2, -0.01, NULL), (3, 'NaN', 'NaN'), (4, 12345678.9, -1)");
  SchemaLine line = changed(t);
  line.shape.columns[1].type = "numeric(12,2)";
  CHECK_FALSE(reshape(t.db, t.table, line, {}).needs_rewrite);
  CHECK(t.db.value("SELECT typeof(n) FROM t WHERE id = 1") == "real");
  line.shape.columns[1].type = "numeric(20,2)";
  line.shape.columns[2].type = "numeric";
  CHECK_FALSE(reshape(t.db, t.table, line, {}).needs_rewrite);
  CHECK(t.rows() == Rows{"1|1.50|7", "2|-0.01|NULL", "3|NaN|NaN", "4|12345678.90|-1"});
  CHECK(t.db.value("SELECT typeof(n) || typeof(w) || n_num FROM t WHERE id = 1") == "texttext1.5");
}
