#include "filter/row_filter.h"

#include <catch2/catch.hpp>

#include "apply/needs_reseed.h"
#include "apply/table_plan.h"
#include "fixture.h"

using namespace deltamirror;
using Rows = std::vector<std::string>;

namespace {

std::string tree(const char* text) {
  return parse_filter(text).text();
}

Shape shape() {
  Shape out;
  out.columns = {{1, "i", "integer", false},       {2, "t", "text", false},
                 {3, "b", "boolean", false},       {4, "f", "double precision", false},
                 {5, "n", "numeric(10,2)", false}, {6, "c", "character(4)", false},
                 {7, "d", "date", false},          {8, "ts", "timestamp with time zone", false},
                 {9, "u", "uuid", false},          {10, "e", "public.mood", false},
                 {11, "a", "integer[]", false},    {12, "r", "real", false},
                 {13, "x", "bytea", false},        {14, "j", "integer", false}};
  return out;
}

TypeNames types() {
  TypeNames out;
  out.add("public.mood", "");
  return out;
}

std::string why_not(const char* text) {
  try {
    RowFilter(text, shape(), types());
  } catch (const daystream::ConfigError& e) {
    return e.what();
  }
  return "";
}

// T, F or N, for one value of the filter's only column; with `value` nullptr what it may be.
std::string truth(const char* text, const Value* value) {
  const RowFilter filter(text, shape(), types());
  const Truth out = filter.evaluate({value});
  std::string set;
  if ((out.set() & Truth::kTrue) != 0) set += 'T';
  if ((out.set() & Truth::kFalse) != 0) set += 'F';
  if ((out.set() & Truth::kNull) != 0) set += 'N';
  return set;
}
std::string truth(const char* text, const Value& value) {
  return truth(text, &value);
}
Value text(std::string_view bytes) {
  return Value::of_text(bytes);
}
Value real(double number) {
  return {Value::Type::Real, 0, number, {}};
}

}  // namespace

TEST_CASE("where: one tree for all ways of writing it", "[mirror][filter]") {
  CHECK(tree("a=1 or B = 2 and not c is null") ==
        R"(("a" = 1 OR ("b" = 2 AND (NOT "c" IS NULL))))");
  CHECK(tree("(((a = 'it''s')))") == R"("a" = 'it''s')");
  CHECK(tree("5 < a") == R"("a" > 5)");
  CHECK(tree("\"A\"\"b\" != -1.5e3") == R"("A""b" <> -1.5e3)");
  CHECK(tree("a not between 1 and 2 and b") == R"(((NOT ("a" >= 1 AND "a" <= 2)) AND "b"))");
  CHECK(tree("a not in (1,2)") == R"((NOT "a" IN (1, 2)))");
  CHECK(tree("a like 'x%'") == R"("a" LIKE 'x%')");
  CHECK(tree("true = b") == R"("b" = TRUE)");
}

TEST_CASE("where: what is no expression is refused where it stops to be one", "[mirror][filter]") {
  const auto message = [](const char* text) -> std::string {
    try {
      parse_filter(text);
    } catch (const daystream::ConfigError& e) {
      return e.what();
    }
    return "taken";
  };
  CHECK(message("") == "where, at character 1: a column expected, not the end");
  CHECK(message("a = ") == "where, at character 5: a column expected, not the end");
  CHECK(message("a ~ 'x'") == "where, at character 3: AND or OR expected, not \"~\"");
  CHECK(message("(a = 1") == "where, at character 7: \")\" expected, not the end");
  CHECK(message("a = 1; DROP TABLE t") == "where, at character 6: AND or OR expected, not \";\"");
  CHECK(message("lower(a) = 'x'") == "where, at character 6: AND or OR expected, not \"(\"");
  CHECK(message("a = NULL") == "where: nothing is ever = NULL");
  CHECK(message("a in ()") == "where, at character 7: a literal expected, not \")\"");
  CHECK(message("a = 'x") == "where, at character 5: the closing quote expected, not \"'x\"");
  CHECK(message("a between 1") == "where, at character 12: AND expected, not the end");
  CHECK_THAT(message((std::string(200, '(') + "a").c_str()), Catch::Contains("so many levels"));
}

TEST_CASE("where: what cannot be compared exactly is refused", "[mirror][filter]") {
  CHECK(why_not("nope = 1") == "where: the table has no column \"nope\"");
  CHECK_THAT(why_not("a = 1"), Catch::Contains("integer[], which a mirror cannot compare"));
  CHECK_THAT(why_not("r > 1"), Catch::Contains("real, which a mirror cannot compare"));
  CHECK(why_not("r IS NULL AND a IS NOT NULL").empty());
  CHECK_THAT(why_not("i = 'x'"), Catch::Contains("is not a bigint"));
  CHECK_THAT(why_not("i = 1.5"), Catch::Contains("is not a bigint"));
  CHECK_THAT(why_not("t = 5"), Catch::Contains("put it in quotes"));
  CHECK_THAT(why_not("b = 1"), Catch::Contains("TRUE or FALSE"));
  CHECK_THAT(why_not("d > '2026-02-30'"), Catch::Contains("is not a date"));
  CHECK_THAT(why_not("ts > 'yesterday'"), Catch::Contains("is not a timestamp"));
  CHECK_THAT(why_not("u = '1'"), Catch::Contains("is not a uuid"));
  CHECK_THAT(why_not("e < 'sad'"), Catch::Contains("known to PostgreSQL only"));
  CHECK_THAT(why_not("i"), Catch::Contains("is no boolean"));
  CHECK_THAT(why_not("i = t"), Catch::Contains("different types"));
  CHECK_THAT(why_not("i LIKE 'x'"), Catch::Contains("LIKE is for columns of type text"));
  CHECK_THAT(why_not("t LIKE 'x\\'"), Catch::Contains("lone"));
}

TEST_CASE("where: three truth values, and what is not known may be any", "[mirror][filter]") {
  const Value five = Value::of_integer(5);
  const Value null;
  CHECK(truth("i > 4", five) == "T");
  CHECK(truth("i > 5", five) == "F");
  CHECK(truth("i > 5", null) == "N");
  CHECK(truth("NOT i > 5", null) == "N");
  CHECK(truth("i IS NULL", null) == "T");
  CHECK(truth("i IS NOT NULL", null) == "F");
  CHECK(truth("i > 5 OR i IS NULL", null) == "T");
  CHECK(truth("i > 5 AND i IS NULL", null) == "N");
  CHECK(truth("i > 5 AND i IS NOT NULL", null) == "F");
  CHECK(truth("i IN (4, 5)", five) == "T");
  CHECK(truth("i NOT IN (4, 5)", five) == "F");
  CHECK(truth("i NOT IN (4, 5)", null) == "N");
  CHECK(truth("i = i", five) == "T");
  CHECK(truth("i > 5", nullptr) == "TFN");
  CHECK(truth("i IS NULL", nullptr) == "TF");
  CHECK(truth("i IS NULL OR i IS NOT NULL", nullptr) == "TF");
  const RowFilter two("i > 5 AND t = 'x'", shape(), types());
  const Value x = text("x");
  CHECK_FALSE(two.evaluate({&five, nullptr}).may_be_true());
  CHECK(two.evaluate({nullptr, &x}).may_be_true());
  CHECK_FALSE(two.evaluate({nullptr, &x}).is_true());
}

TEST_CASE("where: values are compared as PostgreSQL compares them", "[mirror][filter]") {
  CHECK(truth("t < 'b'", text("B")) == "T");  // by bytes
  CHECK(truth("t < 'a'", text("ä")) == "F");
  CHECK(truth("c = 'ab'", text("ab  ")) == "T");
  CHECK(truth("c = 'ab'", text("a b ")) == "F");
  CHECK(truth("n = 1.5", text("1.50")) == "T");
  CHECK(truth("n > 9.99", text("10.00")) == "T");
  CHECK(truth("n < -9.99", text("-10.00")) == "T");
  CHECK(truth("n = 0", text("-0.00")) == "T");
  CHECK(truth("n > 99999999999999999999", text("NaN")) == "T");
  CHECK(truth("n < 0", text("-Infinity")) == "T");
  CHECK(truth("f > 1e308", text("NaN")) == "T");
  CHECK(truth("f = 'NaN'", text("NaN")) == "T");
  CHECK(truth("f = 0", real(-0.0)) == "T");
  CHECK(truth("f <= 0.1", real(0.1)) == "T");
  CHECK(truth("d < '10000-01-01'", text("9999-12-31")) == "T");
  CHECK(truth("d < '0001-01-01'", text("0044-03-15 BC")) == "T");
  CHECK(truth("d > '2026-01-01'", text("infinity")) == "T");
  CHECK(truth("d > '2026-01-01'", text("-infinity")) == "F");
  CHECK(truth("ts < '2026-11-21 10:00:00.5'", text("2026-11-21 10:00:00")) == "T");
  CHECK(truth("ts < '2026-11-21 10:00:00.5'", text("2026-11-21 10:00:00.25")) == "T");
  CHECK(truth("ts = '2026-11-21'", text("2026-11-21 00:00:00")) == "T");
  CHECK(truth("u = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
              text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")) == "T");
  CHECK(truth("e IN ('sad', 'ok')", text("ok")) == "T");
  CHECK(truth("x = '\\x00ff'", Value::of_blob(std::string_view("\0\xff", 2))) == "T");
  CHECK(truth("b", Value::of_integer(1)) == "T");
  CHECK(truth("b = FALSE", Value::of_integer(0)) == "T");
  CHECK(truth("b", Value{}) == "N");
}

TEST_CASE("where: LIKE goes by characters", "[mirror][filter]") {
  CHECK(is_like("abc", "a%"));
  CHECK(is_like("abc", "%"));
  CHECK(is_like("", "%"));
  CHECK_FALSE(is_like("", "_"));
  CHECK(is_like("äbc", "_bc"));
  CHECK_FALSE(is_like("äbc", "__bc"));
  CHECK(is_like("aXbXc", "%X%X%"));
  CHECK_FALSE(is_like("aXbc", "%X%X%"));
  CHECK(is_like("50%", "50\\%"));
  CHECK_FALSE(is_like("505", "50\\%"));
  CHECK(is_like("a_b", "a\\_b"));
  CHECK(is_like("mississippi", "%iss%pi"));
  CHECK_FALSE(is_like(std::string(5000, 'a'), "%a%a%a%a%a%a%a%a%b"));
}

TEST_CASE("where: PostgreSQL is asked the same", "[mirror][filter]") {
  const auto sql = [](const char* text) { return RowFilter(text, shape(), types()).sql(shape()); };
  CHECK(sql("i > 4") == R"(("i" > '4'::pg_catalog.int8))");
  CHECK(sql("t = 'a\\b'") ==
        R"(((("t")::pg_catalog.text COLLATE pg_catalog."C") = E'a\\b'::pg_catalog.text))");
  CHECK(sql("NOT (b OR i IS NULL)") == R"((NOT ("b" OR (pg_catalog.num_nulls("i") = 1))))");
  CHECK(sql("ts < '2026-11-21 10:00'") ==
        R"(("ts" < '2026-11-21 10:00:00+00'::pg_catalog.timestamptz))");
  // Under another name of the column.
  Shape renamed = shape();
  renamed.columns[0].name = "ii";
  const RowFilter filter("i > 4", shape(), types());
  CHECK(filter.sql(renamed) == R"(("ii" > '4'::pg_catalog.int8))");
  CHECK(filter.text(renamed) == R"("ii" > 4)");
}

namespace {

MemoryTable filtered(const char* where, std::vector<int> key = {1}, char identity = 'd') {
  MemoryTable t({{1, "id", "integer", true}, {2, "n", "integer", false}, {3, "v", "text", false}},
                std::move(key), identity);
  t.table.choice.where = std::make_shared<RowFilter>(where, t.table.shape, TypeNames());
  return t;
}

}  // namespace

TEST_CASE("plan: rows enter a filter, change in it and leave", "[mirror][plan][filter]") {
  MemoryTable t = filtered("n >= 10");
  TablePlan plan(t.db, t.table);
  plan.insert("id\t1\tn\t5\tv\ta");
  plan.insert("id\t2\tn\t10\tv\tb");
  plan.insert("id\t3\tv\tc");  // NULL
  CHECK(t.rows() == Rows{"2|10|b"});
  plan.update("id\t1\tn\t12\tv\ta");
  plan.update("id\t2\tn\t11\tv\tbb");
  CHECK(t.rows() == Rows{"1|12|a", "2|11|bb"});
  plan.update("id\t2\tn\t\\N\tv\tbb");
  plan.update("id\t3\tn\t3\tv\tc");
  CHECK(t.rows() == Rows{"1|12|a"});
  plan.replace("id\t1");
  plan.update("id\t7\tn\t12\tv\ta");  // another key
  CHECK(t.rows() == Rows{"7|12|a"});
  plan.replace("id\t3");
  plan.update("id\t8\tn\t20\tv\tc");  // and enters
  CHECK(t.rows() == Rows{"7|12|a", "8|20|c"});
  plan.erase("id\t8");
  plan.erase("id\t2");  // was not here
  CHECK(t.rows() == Rows{"7|12|a"});
}

TEST_CASE("plan: a row that enters a filter is whole, or copied again", "[mirror][plan][filter]") {
  MemoryTable t = filtered("n >= 10 AND v <> 'x'");
  TablePlan plan(t.db, t.table);
  plan.insert("id\t1\tn\t10\tv\tlong");
  plan.update("id\t1\tn\t11");  // v did not change
  CHECK(t.rows() == Rows{"1|11|long"});
  plan.update("id\t1\tn\t9");
  CHECK(t.rows().empty());
  CHECK_THROWS_AS(plan.update("id\t1\tn\t10"), NeedsReseed);  // may fit now: v is not told
  plan.update("id\t1\tn\t8");                                 // cannot fit
  plan.update("id\t1\tv\tother\tn\t7");
  CHECK(t.rows().empty());
  // With the whole old row it is known.
  MemoryTable full = filtered("n >= 10", {1}, 'f');
  TablePlan whole(full.db, full.table);
  whole.insert("id\t1\tn\t5\tv\tlong");
  whole.replace("id\t1\tn\t5\tv\tlong");
  whole.update("id\t1\tn\t15");
  CHECK(full.rows() == Rows{"1|15|long"});
}

TEST_CASE("plan: with a filter, what can be checked is", "[mirror][plan][filter]") {
  MemoryTable t = filtered("n >= 10", {1}, 'f');
  TablePlan plan(t.db, t.table);
  plan.insert("id\t1\tn\t10\tv\ta");
  CHECK_THROWS_AS(plan.insert("id\t1\tn\t11\tv\ta"), Diverged);
  plan.erase("id\t2\tn\t9\tv\ta");
  CHECK_THROWS_AS(plan.erase("id\t2\tn\t10\tv\ta"), Diverged);
  CHECK_THROWS_AS(plan.erase("id\t1\tn\t9\tv\ta"), Diverged);
  MemoryTable keyless = filtered("n >= 10", {}, 'f');
  TablePlan twins(keyless.db, keyless.table);
  for (int i = 0; i < 2; ++i) twins.insert("id\t1\tn\t10\tv\ta");
  twins.replace("id\t1\tn\t10\tv\ta");
  twins.update("id\t1\tn\t9\tv\ta");
  CHECK(keyless.rows() == Rows{"1|10|a"});
  twins.replace("id\t1\tn\t9\tv\ta");
  twins.update("id\t1\tn\t19\tv\ta");
  CHECK(keyless.rows() == Rows{"1|10|a", "1|19|a"});
  // By the key alone.
  MemoryTable by_key = filtered("id < 10");
  TablePlan known(by_key.db, by_key.table);
  known.insert("id\t1\tn\t1\tv\ta");
  known.erase("id\t11");
  CHECK_THROWS_AS(known.erase("id\t2"), Diverged);
}
