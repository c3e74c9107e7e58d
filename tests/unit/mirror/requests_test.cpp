#include "seed/requests.h"

#include <catch2/catch.hpp>

#include "seed/shadow.h"

using namespace deltamirror;
using Names = std::vector<std::string>;

namespace {

TableRequest request(const std::string& table, const std::string& as = {}) {
  TableRequest out;
  out.table = table;
  out.as = as;
  return out;
}

MirroredTable mirrored(const std::string& name, const std::string& source) {
  MirroredTable table;
  table.name = name;
  table.source_table = source;
  table.shape.line_name = source;
  table.wish.name = name;
  table.wish.table = parse_table_name(source);
  return table;
}

Names names(const std::vector<TableRequest>& requests) {
  Names out;
  for (const TableRequest& r : requests) out.push_back(name_for(r));
  return out;
}

}  // namespace

TEST_CASE("requests: a configuration is compared with what is there", "[mirror][requests]") {
  std::vector<MirroredTable> tables = {mirrored("a", "a"), mirrored("s_b", "s.b"),
                                       mirrored("c", "c"), mirrored("d", "d")};
  tables[2].indexes = {{"x"}};
  MirrorConfig config;
  config.tables = {request("public.a"), request("s.b"), request("c"), request("e", "d"),
                   request("f")};
  ConfigChange change = compare(tables, config);
  CHECK(names(change.add) == Names{"d", "f"});  // d is of another table now
  CHECK(change.remove.empty());
  CHECK(names(change.reindex) == Names{"c"});
  config.tables.resize(1);
  config.tables[0].query = "SELECT id FROM a";
  change = compare(tables, config);
  CHECK(names(change.add) == Names{"a"});
  CHECK(change.remove == Names{"c", "d", "s_b"});
}

TEST_CASE("requests: sources share a table only where its rows tell whose they are",
          "[mirror][requests][sources]") {
  const auto of = [](const std::string& source, const std::string& column,
                     const std::string& prefix = {}) {
    TableRequest out = request("t");
    out.source = source;
    out.source_column = column;
    out.prefix = prefix;
    return out;
  };
  CHECK_NOTHROW(check_distinct({}, {of("a", "s"), of("b", "s")}));
  CHECK_NOTHROW(check_distinct({}, {of("a", "", "a_"), of("b", "", "b_")}));
  CHECK_THROWS_WITH(check_distinct({}, {of("a", ""), of("b", "")}),
                    "sources \"a\" and \"b\" would both have a table \"t\" in the mirror");
  CHECK_THROWS(check_distinct({}, {of("a", "s"), of("b", "")}));
  CHECK_THROWS(check_distinct({}, {of("a", "s"), of("b", "r")}));
  CHECK_THROWS_WITH(check_distinct({}, {of("a", "s"), of("a", "s")}),
                    Catch::Contains("two tables would be called \"t\""));
  // Another source's table stays where one is copied again.
  MirroredTable there = mirrored("t", "t");
  there.source = "a";
  there.source_column = "s";
  CHECK_NOTHROW(check_distinct({there}, {of("b", "s"), of("a", "s")}));
}

TEST_CASE("requests: no two tables of one name, and none twice", "[mirror][requests]") {
  const std::vector<MirroredTable> tables = {mirrored("a", "a"), mirrored("b", "b")};
  CHECK_NOTHROW(check_distinct(tables, {request("c"), request("a")}));  // a is copied again
  CHECK_NOTHROW(check_distinct(tables, {request("c", "a"), request("a", "c")}));
  CHECK_THROWS_WITH(check_distinct(tables, {request("a", "again")}),
                    Catch::Contains("\"public\".\"a\" would be followed twice"));
  CHECK_THROWS_WITH(check_distinct({}, {request("a"), request("b", "A")}),
                    Catch::Contains("two tables would be called"));
  CHECK_THROWS_WITH(check_distinct({}, {request("a", "_deltamirror_x")}),
                    Catch::Contains("name of the mirror's own"));
}

TEST_CASE("requests: a table is found by either name", "[mirror][requests]") {
  const std::vector<MirroredTable> tables = {mirrored("x", "s.a"), mirrored("a", "b")};
  CHECK(find_table(tables, "a").shape.line_name == "b");
  CHECK(find_table(tables, "S.A").name == "x");
  CHECK(find_table(tables, "public.b").name == "a");
  CHECK_THROWS_WITH(find_table(tables, "c"), "the mirror has no table \"c\"");
}

TEST_CASE("requests: extra SQL runs once", "[mirror][requests]") {
  Database db(":memory:", Database::Mode::Create);
  db.exec("CREATE TABLE _deltamirror_tables(name)");  // which it leaves alone
  run_extra_sql(db, {"CREATE TABLE a(x)"});
  run_extra_sql(db, {"CREATE TABLE a(x)", "CREATE TABLE b(x)"});
  CHECK(db.value("SELECT count(*) FROM sqlite_schema WHERE name IN ('a', 'b')") == "2");
  CHECK_THROWS_WITH(run_extra_sql(db, {"CREATE TABLE b(x)", "CREATE VIEW"}),
                    Catch::Contains("extra_sql[1]"));
}

TEST_CASE("shadow: an index is taken apart whatever its name", "[mirror][shadow]") {
  const IndexSql plain = parse_index_sql("CREATE INDEX i ON t(a, b DESC) WHERE a > '('");
  CHECK_FALSE(plain.unique);
  CHECK(plain.name == "i");
  CHECK(plain.rest == "(a, b DESC) WHERE a > '('");
  const IndexSql odd =
      parse_index_sql("create /* ( */ unique index -- x\n \"a \"\"b\"\"\"on[t (]  (lower(c))");
  CHECK(odd.unique);
  CHECK(odd.name == "a \"b\"");
  CHECK(odd.rest == "(lower(c))");
  CHECK(parse_index_sql("CREATE INDEX `on``` ON 'it''s'(x)").name == "on`");
  CHECK_THROWS_WITH(parse_index_sql("CREATE TABLE t(a)"), Catch::Contains("is no index"));
  CHECK_THROWS_WITH(parse_index_sql("CREATE INDEX i ON t"), Catch::Contains("is no index"));
}
