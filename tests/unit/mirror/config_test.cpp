#include "command/config.h"

#include <catch2/catch.hpp>

#include "daystream/error.h"

using namespace deltamirror;

TEST_CASE("config: tables with their indexes, and SQL to run at the end", "[mirror][config]") {
  const MirrorConfig config = parse_config(R"({
    "tables": [
      {"table": "public.t", "as": "tt", "indexes": ["a", ["b", "c"]], "types": {"n": "real"}},
      {"query": "SELECT 1 AS one", "as": "ones"}],
    "extra_sql": ["CREATE VIEW v AS SELECT 1"]})",
                                           "m.json");
  REQUIRE(config.tables.size() == 2);
  CHECK(config.tables[0].table == "public.t");
  CHECK(config.tables[0].as == "tt");
  CHECK(config.tables[0].indexes == std::vector<std::vector<std::string>>{{"a"}, {"b", "c"}});
  CHECK(config.tables[0].types.at("n") == "real");
  CHECK(config.tables[1].query == "SELECT 1 AS one");
  CHECK(config.extra_sql.size() == 1);
}

TEST_CASE("config: an error names the place in the file", "[mirror][config]") {
  const auto message = [](const char* text) -> std::string {
    try {
      parse_config(text, "m.json");
    } catch (const daystream::ConfigError& e) {
      return e.what();
    }
    return "none";
  };
  CHECK(message("{") == "m.json: not JSON at byte 2");
  CHECK(message("[]") == "m.json: $: must be an object");
  CHECK(message("{}") == "m.json: $.tables: names no table");
  CHECK(message(R"({"tables": [{"table": 5}]})") == "m.json: $.tables[0].table: must be a string");
  CHECK(message(R"({"tables": [{"tabel": "t"}]})") ==
        "m.json: $.tables[0].tabel: is not known (table, query, as, indexes, types)");
  CHECK(message(R"({"tables": [{"query": "SELECT 1"}]})") ==
        "m.json: $.tables[0]: needs \"table\", or \"query\" and \"as\" for a static query result");
  CHECK(message(R"({"tables": [{"table": "t", "indexes": [[]]}]})") ==
        "m.json: $.tables[0].indexes[0]: must be a column, or a list of columns");
  CHECK(message(R"({"tables": [{"table": "t", "types": {"a": "json"}}]})") ==
        "m.json: $.tables[0].types.a: must be text, integer, real or blob");
}
