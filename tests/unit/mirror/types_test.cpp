#include "values/types.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "daystream/error.h"

using namespace deltamirror;

namespace {

TypeNames names() {
  TypeNames names;
  names.add("public.mood", "");
  names.add("public.count", "integer");
  names.add("public.flag", "public.flag_base");
  names.add("public.flag_base", "boolean");
  names.add("public.price", "numeric(10,2)");
  return names;
}

ColumnType type_of(std::string_view name) {
  return names().resolve(name).value();
}

// What SQLite holds after the value went through a column of the declared type.
std::string stored(std::string_view type_name, std::string_view text) {
  Database db(":memory:", Database::Mode::Create);
  const ColumnType type = type_of(type_name);
  db.exec("CREATE TABLE t(c " + std::string(type.declared()) + ")");
  Statement insert = db.prepare("INSERT INTO t VALUES(?)");
  std::string scratch;
  convert(type, text, scratch).bind_to(insert, 1);
  insert.run();
  return db
      .value(
          "SELECT typeof(c) || ' ' || CASE typeof(c) WHEN 'blob' THEN hex(c) ELSE c END "
          "FROM t")
      .value();
}

}  // namespace

TEST_CASE("types: names are understood as format_type spells them", "[mirror][types]") {
  CHECK(type_of("integer").kind == Kind::Integer);
  CHECK(type_of("character varying(10)").kind == Kind::Text);
  CHECK(type_of("timestamp(3) with time zone").kind == Kind::TimestampTz);
  CHECK(type_of("timestamp with time zone[]") ==
        ColumnType{.kind = Kind::TimestampTz, .array = true});
  CHECK(type_of("box[]").delimiter == ';');
  CHECK(type_of("public.count").kind == Kind::Integer);
  CHECK(type_of("public.flag").kind == Kind::Bool);
  CHECK(type_of("public.count[]") == ColumnType{.kind = Kind::Integer, .array = true});
  CHECK(type_of("public.mood").kind == Kind::Text);
  CHECK(type_of("numeric").kind == Kind::Decimal);
  CHECK(type_of("numeric(15,2)").kind == Kind::Real);
  CHECK(type_of("numeric(16,2)").kind == Kind::Decimal);
  CHECK(type_of("numeric(2,120)").kind == Kind::Decimal);  // below what a double has 15 digits of
  CHECK(type_of("numeric(18,0)").kind == Kind::Whole);
  CHECK(type_of("numeric(19,0)").kind == Kind::Decimal);
  CHECK(type_of("numeric(16,-3)").kind == Kind::Decimal);
  CHECK(names().scale("public.price") == 2);
  CHECK(names().scale("numeric(3,-2)") == 0);
  CHECK_FALSE(names().scale("numeric"));
  CHECK_FALSE(names().resolve("public.unheard"));
}

TEST_CASE("types: values stay what they were, whatever SQLite would make of them",
          "[mirror][types]") {
  CHECK(stored("bigint", "9223372036854775807") == "integer 9223372036854775807");
  CHECK(stored("oid", "4294967295") == "integer 4294967295");
  CHECK(stored("boolean", "t") == "integer 1");
  CHECK(stored("boolean", "0") == "integer 0");
  CHECK(stored("real", "0.1") == "real 0.1");
  CHECK(stored("double precision", "NaN") == "text NaN");
  CHECK(stored("double precision", "-Infinity") == "real -Inf");
  CHECK(stored("double precision", "5e-324") == "real 4.94065645841247e-324");
  CHECK(stored("numeric(10,2)", "1.10") == "real 1.1");
  CHECK(stored("numeric(10,2)", "NaN") == "text NaN");
  CHECK(stored("numeric(18,0)", "-999999999999999999") == "integer -999999999999999999");
  CHECK(stored("numeric(3,-2)", "12300") == "integer 12300");
  CHECK(stored("numeric(9,0)", "NaN") == "text NaN");
  CHECK(stored("numeric", "1.10") == "text 1.10");
  CHECK(stored("numeric", "NaN") == "text NaN");
  CHECK(stored("public.price", "1.10") == "real 1.1");
  CHECK(stored("uuid", "11111111-1111-1111-1111-111111111111") ==
        "text 11111111-1111-1111-1111-111111111111");
  CHECK(stored("public.mood", "007") == "text 007");
  CHECK(stored("json", "1e5") == "text 1e5");
  CHECK(stored("interval", "1") == "text 1");
  CHECK(stored("bytea", "\\x00ff10") == "blob 00FF10");
  CHECK(stored("bytea", "\\x") == "blob ");
  CHECK(stored("text", "") == "text ");
}

TEST_CASE("types: timestamps are UTC without a suffix, and what is no date stays",
          "[mirror][types]") {
  CHECK(stored("timestamp with time zone", "2026-11-21 10:15:04.5+00") ==
        "text 2026-11-21 10:15:04.5");
  CHECK(stored("timestamp with time zone", "infinity") == "text infinity");
  CHECK(stored("timestamp with time zone", "0044-03-15 00:00:00+00 BC") ==
        "text 0044-03-15 00:00:00+00 BC");
  CHECK(stored("time with time zone", "10:15:04+00") == "text 10:15:04+00");
}

TEST_CASE("types: arrays with other bounds stay as PostgreSQL writes them", "[mirror][types]") {
  CHECK(stored("integer[]", "{1,2}") == "text [1,2]");
  CHECK(stored("integer[]", "[0:1]={1,2}") == "text [0:1]={1,2}");
}

TEST_CASE("types: a decimal of at most 15 digits comes back from REAL with the same digits",
          "[mirror][types]") {
  const std::uint32_t seed = Catch::rngSeed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 200'000; ++i) {
    const int scale = static_cast<int>(random() % 20) + 1;
    const std::uint64_t most = i % 3 == 0 ? 1'000'000'000'000'000 : 100'000;
    std::string digits = std::to_string(i % 7 == 0 ? most - 1 - static_cast<std::uint64_t>(i % 1000)
                                                   : random() % most);
    if (digits.size() <= static_cast<std::size_t>(scale)) {
      digits.insert(0, static_cast<std::size_t>(scale) + 1 - digits.size(), '0');
    }
    std::string text = digits;
    text.insert(text.size() - static_cast<std::size_t>(scale), ".");
    std::string scratch;
    const Value value = convert(type_of(fmt::format("numeric(15,{})", scale)), text, scratch);
    REQUIRE(fmt::format("{:.{}f}", value.real, scale) == text);
  }
}

TEST_CASE("types: text that the type never has is refused", "[mirror][types]") {
  std::string scratch;
  CHECK_THROWS_AS(convert(type_of("integer"), "1x", scratch), daystream::ProtocolError);
  CHECK_THROWS_AS(convert(type_of("integer"), "", scratch), daystream::ProtocolError);
  CHECK_THROWS_AS(convert(type_of("bigint"), "9223372036854775808", scratch),
                  daystream::ProtocolError);
  CHECK_THROWS_AS(convert(type_of("boolean"), "yes", scratch), daystream::ProtocolError);
  CHECK_THROWS_AS(convert(type_of("real"), "1,5", scratch), daystream::ProtocolError);
  CHECK_THROWS_AS(convert(type_of("bytea"), "\\x0", scratch), daystream::ProtocolError);
  CHECK_THROWS_AS(convert(type_of("bytea"), "\\xzz", scratch), daystream::ProtocolError);
}
