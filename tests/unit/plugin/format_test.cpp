// The text of common types. tests/integration/plugin compares with PostgreSQL itself.
#include "format.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <limits>
#include <string>

using namespace deltaflood;

namespace {

template <class Value>
std::string text(std::size_t (*format)(char*, Value) noexcept, Value value) {
  char out[kMaxFixedText];
  return {out, format(out, value)};
}

constexpr std::int64_t kDay = 86'400'000'000;

}  // namespace

TEST_CASE("format: integers to their ends", "[format]") {
  CHECK(text<std::int64_t>(format_int, 0) == "0");
  CHECK(text<std::int64_t>(format_int, -1) == "-1");
  CHECK(text<std::int64_t>(format_int, 109) == "109");
  CHECK(text<std::int64_t>(format_int, std::numeric_limits<std::int64_t>::min()) ==
        "-9223372036854775808");
  CHECK(text<std::uint64_t>(format_unsigned, std::numeric_limits<std::uint64_t>::max()) ==
        "18446744073709551615");
}

TEST_CASE("format: an LSN as PostgreSQL prints it", "[format]") {
  CHECK(text<std::uint64_t>(format_lsn, 0) == "0/0");
  CHECK(text<std::uint64_t>(format_lsn, 0x17B1480) == "0/17B1480");
  CHECK(text<std::uint64_t>(format_lsn, 0xABCDEF0100000010) == "ABCDEF01/10");
}

TEST_CASE("format: a commit time in seconds since 1970", "[format]") {
  CHECK(text<std::int64_t>(format_unix_time, 0) == "946684800.000000");
  CHECK(text<std::int64_t>(format_unix_time, 1) == "946684800.000001");
  CHECK(text<std::int64_t>(format_unix_time, -10958 * kDay + 1) == "-86399.999999");
}

TEST_CASE("format: days from year 1 to 9999, others are left to PostgreSQL", "[format]") {
  CHECK(text<std::int32_t>(format_date, 0) == "2000-01-01");
  CHECK(text<std::int32_t>(format_date, 59) == "2000-02-29");
  CHECK(text<std::int32_t>(format_date, -1) == "1999-12-31");
  CHECK(text<std::int32_t>(format_date, -730'119) == "0001-01-01");
  CHECK(text<std::int32_t>(format_date, -730'120) == "");
  CHECK(text<std::int32_t>(format_date, 2'921'939) == "9999-12-31");
  CHECK(text<std::int32_t>(format_date, 2'921'940) == "");
  CHECK(text<std::int32_t>(format_date, std::numeric_limits<std::int32_t>::max()) == "");
  CHECK(text<std::int32_t>(format_date, std::numeric_limits<std::int32_t>::min()) == "");
}

TEST_CASE("format: times of day without trailing zeros", "[format]") {
  CHECK(text<std::int64_t>(format_time, 0) == "00:00:00");
  CHECK(text<std::int64_t>(format_time, 36'904'500'000) == "10:15:04.5");
  CHECK(text<std::int64_t>(format_time, kDay) == "24:00:00");
  for (const std::int64_t none : {kDay + 1, std::int64_t{-1}, INT64_MAX, INT64_MIN}) {
    CHECK(text<std::int64_t>(format_time, none) == "");
  }
  CHECK(text<std::int64_t>(format_time, kDay - 1) == "23:59:59.999999");
}

TEST_CASE("format: timestamps before and after 2000", "[format]") {
  CHECK(text<std::int64_t>(format_timestamp, 0) == "2000-01-01 00:00:00");
  CHECK(text<std::int64_t>(format_timestamp, -1) == "1999-12-31 23:59:59.999999");
  CHECK(text<std::int64_t>(format_timestamp, std::numeric_limits<std::int64_t>::max()) == "");
  CHECK(text<std::int64_t>(format_timestamp, std::numeric_limits<std::int64_t>::min()) == "");
}

TEST_CASE("format: uuid and hexadecimal digits", "[format]") {
  const unsigned char bytes[16] = {0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8,
                                   0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38, 0x0a, 0x11};
  char out[kMaxFixedText];
  CHECK(std::string(out, format_uuid(out, bytes)) == "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
  format_hex(out, std::string_view("\x00\xff", 2));
  CHECK(std::string(out, 4) == "00ff");
}
