#include "values/wire.h"

#include <catch2/catch.hpp>

#include "values/binary_copy.h"

using namespace deltamirror;
using namespace std::string_literals;
using Texts = std::vector<std::string>;

namespace {

std::string big_endian(std::uint64_t value, int size) {
  std::string out;
  for (int i = size - 1; i >= 0; --i) out += static_cast<char>(value >> 8 * i);
  return out;
}
std::string text_of(Wire wire, const std::string& bytes) {
  std::string scratch;
  return std::string(decode(wire, {}, bytes, scratch).bytes);
}
std::string date(std::int64_t days) {
  return text_of(Wire::Date, big_endian(static_cast<std::uint64_t>(days), 4));
}
std::string timestamp(std::int64_t us, Wire wire = Wire::TimestampTz) {
  return text_of(wire, big_endian(static_cast<std::uint64_t>(us), 8));
}
std::string numeric(const std::vector<int>& places, int weight, int sign, int scale) {
  std::string bytes = big_endian(places.size(), 2);
  bytes += big_endian(static_cast<std::uint16_t>(weight), 2);
  bytes += big_endian(static_cast<std::uint16_t>(sign), 2);
  bytes += big_endian(static_cast<std::uint16_t>(scale), 2);
  for (const int place : places) bytes += big_endian(static_cast<std::uint16_t>(place), 2);
  return text_of(Wire::Numeric, bytes);
}
std::string field(const std::string& bytes) {
  return big_endian(bytes.size(), 4) + bytes;
}
const std::string kHeader = "PGCOPY\n\377\r\n\0"s + std::string(8, '\0');
const std::string kNullField = big_endian(0xffffffff, 4);

}  // namespace

TEST_CASE("wire: what we decode ourselves, and only as its usual type", "[mirror][types]") {
  TypeNames types;
  types.add("public.counted", "bigint");
  types.add("public.price", "numeric(10,2)");
  types.add("public.mood", "");
  const auto usual = [&](const char* name) {
    return wire_of(types, name, types.resolve(name).value());
  };
  CHECK(usual("integer") == Wire::Int4);
  CHECK(usual("timestamp(3) with time zone") == Wire::TimestampTz);
  CHECK(usual("character varying(20)") == Wire::String);
  CHECK(usual("public.counted") == Wire::Int8);
  CHECK(usual("public.price") == Wire::Numeric);
  CHECK(usual("public.mood") == Wire::Text);
  CHECK(usual("integer[]") == Wire::Text);
  CHECK(usual("real") == Wire::Text);
  CHECK(usual("\"char\"") == Wire::Text);
  CHECK(wire_of(types, "numeric", {.kind = Kind::Real}) == Wire::Text);
  CHECK(wire_of(types, "integer", {.kind = Kind::Text}) == Wire::Text);
}

TEST_CASE("wire: dates and times as PostgreSQL writes them", "[mirror][types]") {
  CHECK(date(0) == "2000-01-01");
  CHECK(date(59) == "2000-02-29");
  CHECK(date(-1) == "1999-12-31");
  CHECK(date(9821) == "2026-11-21");
  CHECK(date(-730'119) == "0001-01-01");
  CHECK(date(-730'120) == "0001-12-31 BC");
  CHECK(date(2'921'940) == "10000-01-01");
  CHECK(date(INT32_MAX) == "infinity");
  CHECK(date(INT32_MIN) == "-infinity");
  CHECK(timestamp(0) == "2000-01-01 00:00:00");
  CHECK(timestamp(-1) == "1999-12-31 23:59:59.999999");
  CHECK(timestamp(1'500'000) == "2000-01-01 00:00:01.5");
  CHECK(timestamp(-63'082'281'600'000'001) == "0001-12-31 23:59:59.999999+00 BC");
  CHECK(timestamp(-63'082'281'600'000'001, Wire::Timestamp) == "0001-12-31 23:59:59.999999 BC");
  CHECK(timestamp(INT64_MAX) == "infinity");
  CHECK(text_of(Wire::Time, big_endian(86'400'000'000, 8)) == "24:00:00");
}

TEST_CASE("wire: numeric is exact, with its scale", "[mirror][types]") {
  CHECK(numeric({}, 0, 0, 0) == "0");
  CHECK(numeric({}, 0, 0, 2) == "0.00");
  CHECK(numeric({1, 1000}, 0, 0, 2) == "1.10");
  CHECK(numeric({5}, -2, 0x4000, 8) == "-0.00000005");
  CHECK(numeric({12, 3456}, 3, 0, 0) == "12345600000000");
  CHECK(numeric({1, 0, 500}, 1, 0, 1) == "10000.0");
  CHECK(numeric({}, 0, 0xC000, 0) == "NaN");
  CHECK(numeric({}, 0, 0xF000, 0) == "-Infinity");
}

TEST_CASE("wire: a text ends at a NUL, as what PostgreSQL writes of it does", "[mirror][types]") {
  CHECK(text_of(Wire::String, {"caf\0dcba", 8}) == "caf");
  CHECK(text_of(Wire::String, "caf") == "caf");
}

TEST_CASE("wire: bytes that the type never sends are refused", "[mirror][types]") {
  for (const Wire wire : {Wire::Int2, Wire::Int4, Wire::Int8, Wire::Unsigned4, Wire::Bool,
                          Wire::Float8, Wire::Numeric, Wire::Jsonb, Wire::Uuid, Wire::Date,
                          Wire::Time, Wire::Timestamp, Wire::TimestampTz}) {
    CAPTURE(static_cast<int>(wire));
    CHECK_THROWS_AS(text_of(wire, "abc"), daystream::ProtocolError);
  }
}

TEST_CASE("copy: messages fall into rows of values", "[mirror][copy]") {
  BinaryCopy copy({{Wire::Int4, {.kind = Kind::Integer}}, {Wire::String, {}}, {Wire::Uuid, {}}});
  RowBatch batch(3);
  copy.take(kHeader + big_endian(3, 2) + field(big_endian(7, 4)) + field("text") +
                field(std::string(16, '\x11')),
            batch);
  copy.take(big_endian(3, 2) + kNullField + field("") + kNullField, batch);
  copy.take(big_endian(0xffff, 2), batch);
  REQUIRE(batch.rows() == 2);
  CHECK(batch.value(0, 0).integer == 7);
  CHECK(batch.value(0, 1).bytes == "text");
  CHECK(batch.value(0, 2).bytes == "11111111-1111-1111-1111-111111111111");
  CHECK(batch.value(1, 0).type == Value::Type::Null);
  CHECK(batch.value(1, 1).type == Value::Type::Text);
  CHECK(batch.value(1, 1).bytes.empty());
  CHECK(batch.value(1, 2).type == Value::Type::Null);
}

TEST_CASE("copy: a message cut at any byte, or with more, is refused", "[mirror][copy]") {
  const std::string whole = kHeader + big_endian(2, 2) + field(big_endian(7, 4)) + field("text");
  const auto take = [&](const std::string& message) {
    BinaryCopy copy({{Wire::Int4, {.kind = Kind::Integer}}, {Wire::String, {}}});
    RowBatch batch(2);
    copy.take(message, batch);
    return batch.rows();
  };
  CHECK(take(whole) == 1);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    if (size == kHeader.size()) continue;  // a header alone is one
    CAPTURE(size);
    CHECK_THROWS_AS(take(whole.substr(0, size)), daystream::ProtocolError);
  }
  CHECK_THROWS_AS(take(whole + "x"), daystream::ProtocolError);
  CHECK_THROWS_AS(take(kHeader + big_endian(3, 2)), daystream::ProtocolError);
}
