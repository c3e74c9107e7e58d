#include "format.h"

#include <bit>
#include <cstring>

namespace deltaflood {

namespace {

constexpr char kHex[] = "0123456789abcdef";

// "00" … "99": two digits at a time.
struct DigitPairs {
  char text[200] = {};
  constexpr DigitPairs() noexcept {
    for (int i = 0; i < 100; ++i) {
      text[2 * i] = static_cast<char>('0' + i / 10);
      text[2 * i + 1] = static_cast<char>('0' + i % 10);
    }
  }
};
constexpr DigitPairs kPairs;

inline char* put_two(char* out, unsigned value) noexcept {
  std::memcpy(out, &kPairs.text[2 * value], 2);
  return out + 2;
}

// Year, at least four digits, of a year from 1 to 9999.
inline char* put_year(char* out, unsigned year) noexcept {
  return put_two(put_two(out, year / 100), year % 100);
}

constexpr std::int64_t kUsPerSecond = 1'000'000;
constexpr std::int64_t kUsPerDay = 86'400 * kUsPerSecond;
constexpr std::int64_t kUnixToPostgresDays = 10'957;  // 1970-01-01 to 2000-01-01

// Days since 0000-03-01 of the proleptic Gregorian calendar: a year that starts in March ends in
// its leap day, so that months follow from the day by arithmetic.
constexpr std::int64_t kMarchZeroTo2000 = 730'425;
constexpr std::int64_t kFirstDay = 306;            // 0001-01-01
constexpr std::int64_t kAfterLastDay = 3'652'365;  // 10000-01-01

struct Civil {
  unsigned year;
  unsigned month;
  unsigned day;
};

// Of a day from kFirstDay to before kAfterLastDay.
Civil civil_from_days(std::uint32_t days) noexcept {
  const std::uint32_t era = days / 146'097;
  const std::uint32_t day_of_era = days % 146'097;
  const std::uint32_t year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::uint32_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::uint32_t march_month = (5 * day_of_year + 2) / 153;
  const std::uint32_t day = day_of_year - (153 * march_month + 2) / 5 + 1;
  const std::uint32_t month = march_month < 10 ? march_month + 3 : march_month - 9;
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

// `2026-11-21`, or nullptr outside the years 1 to 9999.
char* put_date(char* out, std::int64_t postgres_days) noexcept {
  const std::int64_t days = postgres_days + kMarchZeroTo2000;
  if (days < kFirstDay || days >= kAfterLastDay) return nullptr;
  const Civil civil = civil_from_days(static_cast<std::uint32_t>(days));
  out = put_year(out, civil.year);
  *out++ = '-';
  out = put_two(out, civil.month);
  *out++ = '-';
  return put_two(out, civil.day);
}

// `10:15:04` and the fraction without trailing zeros.
char* put_time(char* out, std::int64_t us) noexcept {
  const auto second_of_day = static_cast<std::uint32_t>(us / kUsPerSecond);
  auto fraction = static_cast<std::uint32_t>(us % kUsPerSecond);
  out = put_two(out, second_of_day / 3'600);
  *out++ = ':';
  out = put_two(out, second_of_day / 60 % 60);
  *out++ = ':';
  out = put_two(out, second_of_day % 60);
  if (fraction == 0) return out;
  *out++ = '.';
  char* const digits = out;
  out = put_two(put_two(put_two(digits, fraction / 10'000), fraction / 100 % 100), fraction % 100);
  while (out[-1] == '0') --out;
  return out;
}

struct Powers {
  std::uint64_t of_ten[20] = {};
  constexpr Powers() noexcept {
    std::uint64_t power = 1;
    for (std::uint64_t& p : of_ten) {
      p = power;
      power *= 10;
    }
  }
};
constexpr Powers kPowers;

// Decimal digits: the bits times log10(2), which is never less than the digits less one.
inline std::size_t digits_of(std::uint64_t value) noexcept {
  const auto bits = static_cast<unsigned>(std::bit_width(value | 1U));
  const unsigned digits = bits * 1233U >> 12U;
  return digits + (value < kPowers.of_ten[digits] ? 0 : 1) + (value == 0 ? 1 : 0);
}

std::size_t put_hex_upper(char* out, std::uint32_t value) noexcept {
  constexpr char kUpper[] = "0123456789ABCDEF";
  char digits[8];
  std::size_t count = 0;
  do {
    digits[count++] = kUpper[value & 15U];
    value >>= 4U;
  } while (value != 0);
  for (std::size_t i = 0; i < count; ++i) out[i] = digits[count - 1 - i];
  return count;
}

struct HexPairs {
  char text[512] = {};
  constexpr HexPairs() noexcept {
    for (unsigned i = 0; i < 256; ++i) {
      text[2 * i] = kHex[i >> 4U];
      text[2 * i + 1] = kHex[i & 15U];
    }
  }
};
constexpr HexPairs kHexPairs;

}  // namespace

std::size_t format_unsigned(char* out, std::uint64_t value) noexcept {
  const std::size_t size = digits_of(value);
  char* p = out + size;
  while (value >= 100) {
    p -= 2;
    std::memcpy(p, &kPairs.text[2 * (value % 100)], 2);
    value /= 100;
  }
  if (value >= 10) {
    std::memcpy(out, &kPairs.text[2 * value], 2);
  } else {
    *out = static_cast<char>('0' + value);
  }
  return size;
}

std::size_t format_int(char* out, std::int64_t value) noexcept {
  if (value >= 0) return format_unsigned(out, static_cast<std::uint64_t>(value));
  *out = '-';
  return 1 + format_unsigned(out + 1, 0 - static_cast<std::uint64_t>(value));
}

std::size_t format_uuid(char* out, const unsigned char (&bytes)[16]) noexcept {
  char* p = out;
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *p++ = '-';
    std::memcpy(p, &kHexPairs.text[2 * bytes[i]], 2);
    p += 2;
  }
  return static_cast<std::size_t>(p - out);
}

std::size_t format_lsn(char* out, std::uint64_t lsn) noexcept {
  const std::size_t high = put_hex_upper(out, static_cast<std::uint32_t>(lsn >> 32U));
  out[high] = '/';
  return high + 1 + put_hex_upper(out + high + 1, static_cast<std::uint32_t>(lsn));
}

std::size_t format_unix_time(char* out, std::int64_t postgres_us) noexcept {
  const std::int64_t us = postgres_us + kUnixToPostgresDays * kUsPerDay;
  char* p = out;
  std::uint64_t magnitude = static_cast<std::uint64_t>(us);
  if (us < 0) {
    *p++ = '-';
    magnitude = 0 - magnitude;
  }
  p += format_unsigned(p, magnitude / 1'000'000);
  *p++ = '.';
  const auto fraction = static_cast<unsigned>(magnitude % 1'000'000);
  p = put_two(put_two(put_two(p, fraction / 10'000), fraction / 100 % 100), fraction % 100);
  return static_cast<std::size_t>(p - out);
}

std::size_t format_date(char* out, std::int32_t days) noexcept {
  const char* const end = put_date(out, days);
  return end == nullptr ? 0 : static_cast<std::size_t>(end - out);
}

std::size_t format_timestamp(char* out, std::int64_t postgres_us) noexcept {
  std::int64_t days = postgres_us / kUsPerDay;
  std::int64_t us = postgres_us % kUsPerDay;
  if (us < 0) {
    us += kUsPerDay;
    --days;
  }
  char* p = put_date(out, days);
  if (p == nullptr) return 0;
  *p++ = ' ';
  return static_cast<std::size_t>(put_time(p, us) - out);
}

std::size_t format_time(char* out, std::int64_t us) noexcept {
  if (us < 0 || us > kUsPerDay) return 0;
  return static_cast<std::size_t>(put_time(out, us) - out);
}

void format_hex(char* out, std::string_view bytes) noexcept {
  for (const char c : bytes) {
    std::memcpy(out, &kHexPairs.text[2 * static_cast<unsigned char>(c)], 2);
    out += 2;
  }
}

}  // namespace deltaflood
