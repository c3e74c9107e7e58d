#include "model/names.h"

#include <catch2/catch.hpp>

#include "daystream/error.h"

using namespace deltamirror;

TEST_CASE("names: tables are read as SQL spells them", "[mirror][names]") {
  CHECK(parse_table_name("t") == QualifiedName{"public", "t"});
  CHECK(parse_table_name("Ops.Flights") == QualifiedName{"ops", "flights"});
  CHECK(parse_table_name("\"Ops\".\"a.\"\"b\"") == QualifiedName{"Ops", "a.\"b"});
  for (const char* bad : {"", ".", "a.", "a.b.c", "\"a", "a\"b\"", "\"a\"b"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(parse_table_name(bad), daystream::ConfigError);
  }
}

TEST_CASE("names: the mirror's default is the bare name only in public", "[mirror][names]") {
  CHECK(default_mirror_name({"public", "t"}) == "t");
  CHECK(default_mirror_name({"ops", "t"}) == "ops_t");
}

TEST_CASE("names: what SQLite or the mirror keeps for itself is refused", "[mirror][names]") {
  CHECK_THROWS_AS(check_mirror_name("SQLite_x"), daystream::ConfigError);
  CHECK_THROWS_AS(check_mirror_name("_deltamirror_checkpoint"), daystream::ConfigError);
  CHECK_NOTHROW(check_mirror_name("sqlitex"));
}
