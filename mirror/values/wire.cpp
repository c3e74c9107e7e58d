#include "values/wire.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace deltamirror {

namespace {

struct WireType {
  std::string_view name;
  Wire wire;
};
constexpr WireType kWireTypes[] = {
    {"smallint", Wire::Int2},
    {"integer", Wire::Int4},
    {"bigint", Wire::Int8},
    {"oid", Wire::Unsigned4},
    {"xid", Wire::Unsigned4},
    {"cid", Wire::Unsigned4},
    {"boolean", Wire::Bool},
    {"double precision", Wire::Float8},
    {"numeric", Wire::Numeric},
    {"text", Wire::String},
    {"character varying", Wire::String},
    {"character", Wire::String},
    {"name", Wire::String},
    {"json", Wire::String},
    {"jsonb", Wire::Jsonb},
    {"bytea", Wire::Bytea},
    {"uuid", Wire::Uuid},
    {"date", Wire::Date},
    {"time without time zone", Wire::Time},
    {"timestamp without time zone", Wire::Timestamp},
    {"timestamp with time zone", Wire::TimestampTz},
};

constexpr std::int64_t kDayUs = 86'400'000'000;

[[noreturn]] void bad_bytes(std::string_view bytes, const char* what) {
  throw daystream::ProtocolError(
      fmt::format("{} bytes are not {} as COPY sends it", bytes.size(), what));
}

// Numbers come in network byte order.
template <typename Number>
Number number(std::string_view bytes, const char* what) {
  if (bytes.size() != sizeof(Number)) bad_bytes(bytes, what);
  std::make_unsigned_t<Number> value = 0;
  for (const char c : bytes) {
    value = static_cast<std::make_unsigned_t<Number>>(value << 8 | static_cast<unsigned char>(c));
  }
  return static_cast<Number>(value);
}
template <>
std::int8_t number<std::int8_t>(std::string_view bytes, const char* what) {
  if (bytes.size() != 1) bad_bytes(bytes, what);
  return static_cast<std::int8_t>(bytes[0]);
}

Value real(std::uint64_t bits) noexcept {
  Value out;
  out.type = Value::Type::Real;
  out.real = std::bit_cast<double>(bits);
  return std::isnan(out.real) ? Value::of_text("NaN") : out;
}

// At least `digits` of them.
void put(std::string& out, std::uint64_t value, int digits) {
  char reversed[20];
  int size = 0;
  for (; value != 0 || size < digits; value /= 10) {
    reversed[size++] = static_cast<char>('0' + value % 10);
  }
  while (size > 0) out += reversed[--size];
}

// A date or time being written: nearly every row has one, so it grows no string digit by digit.
class Clock {
 public:
  // Two digits of `value`, which is below 100.
  void put2(std::uint32_t value) noexcept {
    *end_++ = static_cast<char>('0' + value / 10);
    *end_++ = static_cast<char>('0' + value % 10);
  }
  void put(char c) noexcept { *end_++ = c; }
  void put_year(std::uint32_t year) noexcept {
    char reversed[10];
    int size = 0;
    for (; year != 0 || size < 4; year /= 10) reversed[size++] = static_cast<char>('0' + year % 10);
    while (size > 0) *end_++ = reversed[--size];
  }
  // 10:15:04.5: without the fraction's trailing zeros. `us` is below a day and an hour.
  void put_time(std::int64_t us) noexcept {
    const auto seconds = static_cast<std::uint32_t>(us / 1'000'000);
    auto fraction = static_cast<std::uint32_t>(us % 1'000'000);
    put2(seconds / 3'600);
    put(':');
    put2(seconds / 60 % 60);
    put(':');
    put2(seconds % 60);
    if (fraction == 0) return;
    put('.');
    for (std::uint32_t place = 100'000; fraction != 0; place /= 10) {
      *end_++ = static_cast<char>('0' + fraction / place);
      fraction %= place;
    }
  }
  Value to_text(std::string& scratch, std::string_view suffix) const {
    scratch.assign(text_, static_cast<std::size_t>(end_ - text_));
    scratch += suffix;
    return Value::of_text(scratch);
  }

 private:
  char text_[48];
  char* end_ = text_;
};

// Text's form of a year is that of its era; there is no year 0. Returns whether it is BC.
bool put_date(Clock& out, std::int64_t days_since_2000) {
  // Days are counted from 1 March of a year divisible by 400, so that leap days come last.
  constexpr std::int64_t kEraDays = 146'097;
  const std::int64_t days = days_since_2000 + 730'425;  // since 0000-03-01
  const std::int64_t era = (days >= 0 ? days : days - (kEraDays - 1)) / kEraDays;
  const auto of_era = static_cast<std::uint32_t>(days - era * kEraDays);
  const std::uint32_t year_of_era =
      (of_era - of_era / 1'460 + of_era / 36'524 - of_era / 146'096) / 365;
  const std::uint32_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::uint32_t shifted = (5 * of_year + 2) / 153;  // 0: March
  const std::uint32_t day = of_year - (153 * shifted + 2) / 5 + 1;
  const std::uint32_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  const std::int64_t year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);
  out.put_year(static_cast<std::uint32_t>(year > 0 ? year : 1 - year));
  out.put('-');
  out.put2(month);
  out.put('-');
  out.put2(day);
  return year <= 0;
}

Value date(std::string_view bytes, std::string& scratch) {
  const auto days = number<std::int32_t>(bytes, "a date");
  if (days == std::numeric_limits<std::int32_t>::max()) return Value::of_text("infinity");
  if (days == std::numeric_limits<std::int32_t>::min()) return Value::of_text("-infinity");
  Clock clock;
  const bool before_christ = put_date(clock, days);
  return clock.to_text(scratch, before_christ ? " BC" : "");
}

Value time(std::string_view bytes, std::string& scratch) {
  const auto us = number<std::int64_t>(bytes, "a time");
  if (us < 0 || us > kDayUs) bad_bytes(bytes, "a time");  // 24:00:00 is one
  Clock clock;
  clock.put_time(us);
  return clock.to_text(scratch, {});
}

// In UTC, which leaves no trace but before Christ, where the text stays as PostgreSQL writes it.
Value timestamp(std::string_view bytes, bool zone, std::string& scratch) {
  const auto us = number<std::int64_t>(bytes, "a timestamp");
  if (us == std::numeric_limits<std::int64_t>::max()) return Value::of_text("infinity");
  if (us == std::numeric_limits<std::int64_t>::min()) return Value::of_text("-infinity");
  const std::int64_t day = (us >= 0 ? us : us - (kDayUs - 1)) / kDayUs;
  Clock clock;
  const bool before_christ = put_date(clock, day);
  clock.put(' ');
  clock.put_time(us - day * kDayUs);
  return clock.to_text(scratch, !before_christ ? "" : zone ? "+00 BC" : " BC");
}

Value uuid(std::string_view bytes, std::string& scratch) {
  if (bytes.size() != 16) bad_bytes(bytes, "a uuid");
  constexpr std::string_view kDigits = "0123456789abcdef";
  scratch.clear();
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) scratch += '-';
    scratch += kDigits[static_cast<unsigned char>(bytes[i]) >> 4];
    scratch += kDigits[static_cast<unsigned char>(bytes[i]) & 15];
  }
  return Value::of_text(scratch);
}

// Four decimal digits in each of `count` places, the first worth 10000^weight; `scale` of them are
// shown after the point.
Value numeric(std::string_view bytes, std::string& scratch) {
  constexpr std::uint16_t kNegative = 0x4000;
  if (bytes.size() < 8) bad_bytes(bytes, "a numeric");
  const auto at = [&](std::size_t i) {
    return number<std::uint16_t>(bytes.substr(2 * i, 2), "a numeric");
  };
  const int count = at(0);
  const int weight = static_cast<std::int16_t>(at(1));
  const std::uint16_t sign = at(2);
  const int scale = at(3);
  if (sign == 0xC000) return Value::of_text("NaN");
  if (sign == 0xD000) return Value::of_text("Infinity");
  if (sign == 0xF000) return Value::of_text("-Infinity");
  if (bytes.size() != 8 + 2 * static_cast<std::size_t>(count) || (sign != 0 && sign != kNegative)) {
    bad_bytes(bytes, "a numeric");
  }
  const auto place = [&](int i) -> unsigned {
    return i >= 0 && i < count ? at(4 + static_cast<std::size_t>(i)) : 0u;
  };
  scratch.clear();
  if (sign == kNegative) scratch += '-';
  if (weight < 0) {
    scratch += '0';
  } else {
    put(scratch, place(0), 1);
    for (int i = 1; i <= weight; ++i) put(scratch, place(i), 4);
  }
  if (scale > 0) {
    scratch += '.';
    const std::size_t end = scratch.size() + static_cast<std::size_t>(scale);
    for (int i = weight + 1; scratch.size() < end; ++i) put(scratch, place(i), 4);
    scratch.resize(end);
  }
  return Value::of_text(scratch);
}

}  // namespace

Wire wire_of(const TypeNames& types, std::string_view name, const ColumnType& target) {
  if (target.array || types.resolve(name) != target) return Wire::Text;
  const std::string base = types.underlying(name);
  for (const WireType& known : kWireTypes) {
    if (known.name == base) return known.wire;
  }
  return Wire::Text;
}

Value decode(Wire wire, const ColumnType& target, std::string_view bytes, std::string& scratch) {
  switch (wire) {
    case Wire::Int2:
      return Value::of_integer(number<std::int16_t>(bytes, "a smallint"));
    case Wire::Int4:
      return Value::of_integer(number<std::int32_t>(bytes, "an integer"));
    case Wire::Int8:
      return Value::of_integer(number<std::int64_t>(bytes, "a bigint"));
    case Wire::Unsigned4:
      return Value::of_integer(number<std::uint32_t>(bytes, "an oid"));
    case Wire::Bool:
      return Value::of_integer(number<std::int8_t>(bytes, "a boolean") != 0 ? 1 : 0);
    case Wire::Float8:
      return real(number<std::uint64_t>(bytes, "a double precision"));
    case Wire::Numeric: {
      const Value exact = numeric(bytes, scratch);
      return target.kind == Kind::Decimal ? exact : convert(target, exact.bytes, scratch);
    }
    case Wire::String:
      // Only a faulty function of C makes a text with a NUL; PostgreSQL's text of it ends there.
      return Value::of_text(bytes.substr(0, bytes.find('\0')));
    case Wire::Jsonb:
      if (bytes.empty() || bytes.front() != 1) bad_bytes(bytes, "a jsonb of version 1");
      return Value::of_text(bytes.substr(1));
    case Wire::Bytea:
      return Value::of_blob(bytes);
    case Wire::Uuid:
      return uuid(bytes, scratch);
    case Wire::Date:
      return date(bytes, scratch);
    case Wire::Time:
      return time(bytes, scratch);
    case Wire::Timestamp:
    case Wire::TimestampTz:
      return timestamp(bytes, wire == Wire::TimestampTz, scratch);
    case Wire::Text:
      break;
  }
  return convert(target, bytes, scratch);
}

}  // namespace deltamirror
