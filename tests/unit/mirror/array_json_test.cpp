#include "values/array_json.h"

#include <catch2/catch.hpp>

#include "daystream/error.h"

using namespace deltamirror;

namespace {

std::string json_of(std::string_view text, Kind kind, char delimiter = ',') {
  std::string out;
  array_to_json(out, text, {.kind = kind, .array = true, .delimiter = delimiter});
  return out;
}

}  // namespace

TEST_CASE("arrays: numbers, booleans and NULL are JSON's own", "[mirror][types]") {
  CHECK(json_of("{}", Kind::Integer) == "[]");
  CHECK(json_of("{1,NULL,-3}", Kind::Integer) == "[1,null,-3]");
  CHECK(json_of("{{1,2},{3,4}}", Kind::Integer) == "[[1,2],[3,4]]");
  CHECK(json_of("{t,f,1,0}", Kind::Bool) == "[true,false,true,false]");
  CHECK(json_of("{1.5,1e+20,NaN,-Infinity}", Kind::Real) == "[1.5,1e+20,\"NaN\",\"-Infinity\"]");
}

TEST_CASE("arrays: the rest are strings, so that nothing is lost", "[mirror][types]") {
  CHECK(json_of("{a,\"\",\"NULL\",NULL}", Kind::Text) == R"(["a","","NULL",null])");
  CHECK(json_of(R"({"a,b","c\"d","e\\f","{g}"})", Kind::Text) == R"(["a,b","c\"d","e\\f","{g}"])");
  CHECK(json_of("{1.10}", Kind::Text) == R"(["1.10"])");
  CHECK(json_of("{\"x\ty\nz\x01\"}", Kind::Text) == R"(["x\ty\nz\u0001"])");
  CHECK(json_of("{(2,2),(1,1);(4,4),(3,3)}", Kind::Text, ';') ==
        R"x(["(2,2),(1,1)","(4,4),(3,3)"])x");
  CHECK(json_of("{\"2026-11-21 10:15:04+00\"}", Kind::TimestampTz) == R"(["2026-11-21 10:15:04"])");
}

TEST_CASE("arrays: other text is refused", "[mirror][types]") {
  for (const char* bad : {"{", "{1", "{1}}", "{\"a}", "{1}x", "}"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(json_of(bad, Kind::Integer), daystream::ProtocolError);
  }
}
