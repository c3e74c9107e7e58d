#include "config/config.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "daystream/error.h"
#include "program/json_schema.h"
#include "program/usage.h"

using namespace deltamirror;
using daystream::program::mirror_config_schema;
using nlohmann::json;
using Texts = std::vector<std::string>;

namespace {

Texts problems(const std::string& text) {
  Texts out;
  for (const ConfigProblem& problem : read_config(text).problems) {
    out.push_back(problem.text("m.json"));
  }
  return out;
}

// A value that a property of the schema allows.
json example(const json& schema, const json& root) {
  if (schema.contains("$ref")) {
    return example(root.at(json::json_pointer(schema["$ref"].get<std::string>().substr(1))), root);
  }
  if (schema.contains("enum")) return schema["enum"].back();
  if (schema.contains("anyOf")) return example(schema["anyOf"][0], root);
  const std::string type = schema.at("type");
  if (type == "array") return json::array({example(schema["items"], root)});
  if (type == "object" && schema.contains("required")) {
    json out = json::object();
    for (const std::string key : schema["required"]) {
      out[key] = example(schema["properties"][key], root);
    }
    return out;
  }
  // A table.
  if (type == "object" && schema.contains("properties")) return {{"table", "t"}};
  if (type == "object") return {{"id", example(schema["additionalProperties"], root)}};
  if (type == "integer") return 7;
  return "id";
}

}  // namespace

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

TEST_CASE("config: comments are allowed, and move no place", "[mirror][config]") {
  CHECK(problems("// of ours\n{\"tables\": [{\"table\": \"t\"} /* more to come */]}") == Texts{});
  CHECK(problems("/* one\n   two */ {\"tabels\": []} // no") ==
        Texts{"m.json:2:12: /tabels: is not known (extra_sql, on_trouble, sources, tables): "
              "did you mean \"tables\"?"});
}

TEST_CASE("config: each error says where, and what is allowed", "[mirror][config]") {
  CHECK(problems("{") == Texts{"m.json:1:2: not JSON: syntax error while parsing object key - "
                               "unexpected end of input; expected string literal"});
  CHECK(problems("[]") == Texts{"m.json:1:1: must be an object"});
  CHECK(problems("{}") == Texts{"m.json:1:1: needs \"tables\", or \"sources\""});
  CHECK(problems("{\"tabels\": []}") ==
        Texts{"m.json:1:2: /tabels: is not known (extra_sql, on_trouble, sources, tables): "
              "did you mean \"tables\"?"});
  CHECK(problems("{\"tables\": []}") == Texts{"m.json:1:12: /tables: must not be empty"});
  CHECK(problems("{\"tables\": [\n  {\"table\": 5}]}") ==
        Texts{"m.json:2:13: /tables/0/table: must be a string"});
  CHECK(problems(R"({"tables": [{"query": "SELECT 1"}]})") ==
        Texts{"m.json:1:13: /tables/0: needs \"table\", or \"query\" and \"as\" for a static query "
              "result"});
  CHECK(problems(R"({"tables": [{"table": "t", "indexes": [[]]}]})") ==
        Texts{"m.json:1:40: /tables/0/indexes/0: must be a column, or a list of columns"});
  CHECK(problems(R"({"tables": [{"table": "t", "types": {"a/b": "reel"}}]})") ==
        Texts{"m.json:1:45: /tables/0/types/a~1b: must be one of text, integer, real, blob: did "
              "you mean \"real\"?"});
  CHECK(problems(R"({"tables": [{"table": "a.b.c"}]})") ==
        Texts{"m.json:1:23: /tables/0/table: \"a.b.c\" is not a table name; HINT: write TABLE or "
              "SCHEMA.TABLE, quoted as in SQL where needed"});
  CHECK(problems(R"({"tables": [{"table": "a", "as": "sqlite_a"}]})").size() == 1);
  CHECK(problems(R"({"tables": [{"table": "a", "table": "b"}]})") ==
        Texts{"m.json:1:28: /tables/0/table: is there twice"});
}

TEST_CASE("config: all errors are told, in the order of the text", "[mirror][config]") {
  const std::string text = "{\"tabels\": 1,\n \"tables\": [{\"table\": \"t\", \"als\": \"x\"}]}";
  const Texts found = problems(text);
  REQUIRE(found.size() == 2);
  CHECK(found[0] ==
        "m.json:1:2: /tabels: is not known (extra_sql, on_trouble, sources, tables): did you mean "
        "\"tables\"?");
  CHECK_THAT(found[1], Catch::StartsWith("m.json:2:28: /tables/0/als: is not known (as, ") &&
                           Catch::EndsWith(": did you mean \"as\"?"));
  try {
    parse_config(text, "m.json");
    FAIL("taken");
  } catch (const daystream::ConfigError& e) {
    CHECK(e.what() == found[0]);
    CHECK(e.hint() == "\"deltamirror config check\" shows 1 more");
  }
}

// What the reader knew beyond the schema could never be said; what the schema has beyond the reader
// would be taken and forgotten.
TEST_CASE("config: each key of the schema is read, and each that is written is in it",
          "[mirror][config]") {
  const json schema = json::parse(mirror_config_schema());
  const json& properties = schema["$defs"]["table"]["properties"];
  for (const auto& [key, rule] : properties.items()) {
    CAPTURE(key);
    json table = {{key, example(rule, schema)}};
    // With what it needs beside it.
    if (key != "table") table["table"] = "t";
    if (key == "keep_days") table["mode"] = "history";
    const ReadConfig read = read_config(json{{"tables", {table}}}.dump());
    REQUIRE(read.problems.empty());
    const json again = json::parse(to_json(read.config.tables[0]).dump());
    CHECK(again.contains(key));
    CHECK(parse_config(json{{"tables", {again}}}.dump(), "again").tables == read.config.tables);
  }
  for (const auto& [key, rule] : schema["properties"].items()) {
    CAPTURE(key);
    json root = {{"tables", {{{"table", "t"}}}}};
    root[key] = key == "tables" ? root[key] : example(rule, schema);
    CHECK(read_config(root.dump()).problems.empty());
  }
  // Of a source each key makes what is read another.
  const json& source = schema["$defs"]["source"];
  const auto read = [&](const json& one) {
    const json root = {{"tables", {{{"table", "t"}}}}, {"sources", {one}}};
    const ReadConfig out = read_config(root.dump());
    REQUIRE(out.problems.empty());
    return out.config.sources.at(0);
  };
  const json least = {{"name", "n"}, {"daystream", "d"}};
  const SourceConfig plain = read(least);
  for (const auto& [key, rule] : source["properties"].items()) {
    CAPTURE(key);
    json one = least;
    one[key] = key == "tables" ? json{{{"table", "other"}}} : example(rule, schema);
    const SourceConfig with = read(one);
    CHECK((with.name != plain.name || with.daystream != plain.daystream ||
           with.connection != plain.connection || with.tables != plain.tables));
  }
}

TEST_CASE("config: sources with their own tables, or with those that all share",
          "[mirror][config][sources]") {
  const MirrorConfig config = parse_config(R"({
    "tables": [{"table": "t"}, {"table": "s.u", "as": "u"}],
    "sources": [
      {"name": "eu", "daystream": "/d/eu", "connection": "service=eu", "source_column": "shard"},
      {"name": "us", "daystream": "http://h/us", "prefix": "us_"},
      {"name": "hq", "daystream": "/d/hq", "tables": [{"table": "w"}]}]})",
                                           "m.json");
  CHECK(config.tables.empty());
  REQUIRE(config.sources.size() == 3);
  CHECK(config.all_tables().size() == 5);
  CHECK(config.sources[0].connection == "service=eu");
  CHECK(config.sources[0].tables[1].source == "eu");
  CHECK(config.sources[0].tables[1].source_column == "shard");
  CHECK(config.sources[0].tables[1].as == "u");
  CHECK_FALSE(config.sources[1].connection);
  CHECK(config.sources[1].tables[0].prefix == "us_");
  CHECK(config.sources[1].tables[1].as == "us_u");
  CHECK(config.sources[2].tables.size() == 1);

  const auto problem = [](const std::string& sources, const std::string& tables = "[]") {
    const Texts found =
        problems(R"({"tables": )" + (tables == "[]" ? R"([{"table": "t"}])" : tables) +
                 R"(, "sources": [)" + sources + "]}");
    return found.size() == 1 ? found[0].substr(found[0].find(": /") + 2) : "none";
  };
  const std::string a = R"({"name": "a", "daystream": "d"})";
  CHECK(problem(a + R"(, {"name": "a", "daystream": "e"})") ==
        "/sources/1/name: \"a\" is there already");
  CHECK(problem(a + R"(, {"name": "b", "daystream": "d"})") ==
        "/sources/1/daystream: is that of source \"a\"");
  CHECK(problem(R"({"name": "a b", "daystream": "d"})") ==
        "/sources/0/name: a source's name is of letters, digits, - _ and dots, at most 63");
  CHECK(problem(R"({"name": "a"})") == "/sources/0: needs \"daystream\"");
  CHECK_THAT(problem(R"({"name": "a", "daystream": "d", "source_column": "s"})",
                     R"([{"table": "t", "mode": "history"}])"),
             Catch::Contains("does not go with \"mode\": \"history\""));
  CHECK(problems(R"({"sources": [{"name": "a", "daystream": "d"}]})") ==
        Texts{"m.json:1:14: /sources/0: needs \"tables\", here or for all sources"});
}

TEST_CASE("config: what does not go together is told", "[mirror][config]") {
  const auto problem = [](const std::string& members) {
    const Texts found = problems("{\"tables\": [{" + members + "}]}");
    return found.size() == 1 ? found[0].substr(found[0].find("/0: ") + 4) : "none";
  };
  CHECK_THAT(problem(R"("table": "t", "query": "SELECT 1", "where": "a = 1")"),
             Catch::StartsWith("\"query\" says itself which columns"));
  CHECK_THAT(problem(R"("table": "t", "where": "a = 1", "mode": "history")"),
             Catch::StartsWith("\"where\" goes with"));
  CHECK_THAT(problem(R"("table": "t", "keep_days": 5)"), Catch::StartsWith("\"keep_days\" is for"));
  CHECK_THAT(problem(R"("query": "SELECT 1", "as": "t", "mode": "history")"),
             Catch::StartsWith("a static query has no changes"));
  CHECK(problems(R"({"tables": [{"table": "t", "mode": "history", "keep_days": 0}]})") ==
        Texts{"m.json:1:60: /tables/0/keep_days: must be at least 1"});
  CHECK(problems(R"({"tables": [{"table": "t", "columns": ["a", "a"]}]})") ==
        Texts{"m.json:1:45: /tables/0/columns/1: is there already"});
  CHECK_THAT(problems(R"({"tables": [{"table": "t", "where": "a ="}]})").at(0),
             Catch::Contains("/tables/0/where: where, at character 4: a column expected"));
}

TEST_CASE("config: a word that is nearly right is known, another is not", "[mirror][config]") {
  const Texts known = {"table", "query", "as", "indexes"};
  CHECK(daystream::program::most_like("tabel", known) == "table");
  CHECK(daystream::program::most_like("index", known).empty());
  CHECK(daystream::program::most_like("indices", known) == "indexes");
  CHECK(daystream::program::most_like("indxes", known) == "indexes");
  CHECK(daystream::program::most_like("xy", known).empty());
}
