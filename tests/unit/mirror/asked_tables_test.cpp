// The list of tables that a server is asked for.
#include "apply/asked_tables.h"

#include <catch2/catch.hpp>

#include "daystream/manifest.h"

using deltamirror::AskedTables;

namespace {

std::string list_of(const std::vector<std::string>& names) {
  AskedTables asked;
  for (const std::string& name : names) asked.add(name);
  return asked.list();
}

}  // namespace

TEST_CASE("asked tables: each once, as a table list spells it", "[mirror][tables]") {
  CHECK(list_of({"flights"}) == "flights");
  CHECK(list_of({"public.flights", "flights", "Flights"}) == "flights");
  CHECK(list_of({"ops.crew", "flights"}) == "ops.crew,flights");
  CHECK(list_of({"\"Odd, \"\"name\"\"\"", "\"a.b\".\"ü\""}) ==
        "\"a.b\".\"ü\",\"Odd, \"\"name\"\"\"");
  CHECK(list_of({"no table name\"", "flights"}) == "flights");
}

TEST_CASE("asked tables: the list holds them and no others", "[mirror][tables]") {
  const std::vector<std::string> names = {"flights", "ops.crew", "\"Odd, \"\"name\"\"\"",
                                          "\"user\"", "\"a.b\".\"c d\""};
  for (const std::string& name : names) {
    CAPTURE(name);
    CHECK(daystream::table_list_matches(list_of(names), name));
    CHECK(daystream::table_list_matches(list_of({name}), name));
    CHECK_FALSE(daystream::table_list_matches(list_of({name}), "other"));
  }
}

TEST_CASE("asked tables: what a list cannot tell is everything", "[mirror][tables]") {
  CHECK(list_of({}).empty());
  CHECK(list_of({"flights", "\"a*b\""}).empty());
  CHECK(list_of({"flights", "\"a\nb\""}).empty());
  CHECK(list_of({"flights", "\"a\\b\""}).empty());
  std::vector<std::string> many;
  for (int i = 0; i < 1000; ++i) many.push_back("table_" + std::to_string(i));
  CHECK(list_of(many).empty());
  many.resize(100);
  CHECK_FALSE(list_of(many).empty());
}
