#include "filter/comparable.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <tuple>

namespace deltamirror {

using daystream::ConfigError;

namespace {

struct KnownType {
  std::string_view name;
  Comparable comparable;
};
constexpr KnownType kKnown[] = {
    {"smallint", Comparable::Integer},
    {"integer", Comparable::Integer},
    {"bigint", Comparable::Integer},
    {"boolean", Comparable::Boolean},
    {"double precision", Comparable::Float},
    {"numeric", Comparable::Numeric},
    {"text", Comparable::Text},
    {"character varying", Comparable::Text},
    {"character", Comparable::BlankPadded},
    {"bpchar", Comparable::BlankPadded},
    {"inet", Comparable::TextForm},
    {"cidr", Comparable::TextForm},
    {"macaddr", Comparable::TextForm},
    {"macaddr8", Comparable::TextForm},
    {"uuid", Comparable::Uuid},
    {"bytea", Comparable::Bytea},
    {"date", Comparable::Date},
    {"time without time zone", Comparable::Time},
    {"timestamp without time zone", Comparable::Timestamp},
    {"timestamp with time zone", Comparable::TimestampTz},
};

template <typename T>
int order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// NaN comes as text.
int compare_floats(const Value& a, const Value& b) {
  const bool a_nan = a.type == Value::Type::Text;
  const bool b_nan = b.type == Value::Type::Text;
  if (a_nan || b_nan) return order(a_nan, b_nan);
  return order(a.real, b.real);
}

// An exact decimal number, or one of the three that are none.
struct Decimal {
  int rank = 0;  // -1 -Infinity, 0 a number, 1 Infinity, 2 NaN
  bool negative = false;
  std::string_view whole;     // without zeros in front
  std::string_view fraction;  // without zeros behind

  explicit Decimal(std::string_view text) {
    if (text == "NaN") rank = 2;
    if (text == "Infinity") rank = 1;
    if (text == "-Infinity") rank = -1;
    if (rank != 0) return;
    negative = text.starts_with('-');
    if (negative) text.remove_prefix(1);
    const std::size_t point = std::min(text.find('.'), text.size());
    whole = text.substr(0, point);
    whole.remove_prefix(std::min(whole.find_first_not_of('0'), whole.size()));
    if (point < text.size()) fraction = text.substr(point + 1);
    fraction = fraction.substr(0, fraction.find_last_not_of('0') + 1);
    if (whole.empty() && fraction.empty()) negative = false;
  }
};

int compare_decimals(std::string_view left, std::string_view right) {
  const Decimal a(left);
  const Decimal b(right);
  if (a.rank != 0 || b.rank != 0) return order(a.rank, b.rank);
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  int out = order(a.whole.size(), b.whole.size());
  if (out == 0) out = order(a.whole, b.whole);
  if (out == 0) out = order(a.fraction, b.fraction);
  return a.negative ? -out : out;
}

std::string_view without_blanks(std::string_view text) {
  return text.substr(0, text.find_last_not_of(' ') + 1);
}

// A date or timestamp as PostgreSQL writes it: its day, and what of the day is over. (Within a day
// the text has the order of the time: hours come first, and a fraction has no zeros behind.)
struct Moment {
  std::int64_t day = 0;  // ordered as days are, no count
  std::string_view time;

  explicit Moment(std::string_view text) {
    if (text == "infinity" || text == "-infinity") {
      day = text.front() == '-' ? std::numeric_limits<std::int64_t>::min()
                                : std::numeric_limits<std::int64_t>::max();
      return;
    }
    const bool before_christ = text.ends_with(" BC");
    if (before_christ) text.remove_suffix(3);
    if (text.ends_with("+00")) text.remove_suffix(3);
    const std::size_t dash = std::min(text.find('-'), text.size());
    std::int64_t year = 0;
    std::from_chars(text.data(), text.data() + dash, year);
    const auto number = [&](std::size_t at) -> std::int64_t {
      return at + 1 < text.size() ? (text[at] - '0') * 10 + (text[at + 1] - '0') : 0;
    };
    day = ((before_christ ? 1 - year : year) * 12 + number(dash + 1)) * 31 + number(dash + 4);
    if (text.size() > dash + 7) time = text.substr(dash + 7);
  }
};

int compare_moments(std::string_view left, std::string_view right) {
  const Moment a(left);
  const Moment b(right);
  return std::tie(a.day, a.time) < std::tie(b.day, b.time)   ? -1
         : std::tie(b.day, b.time) < std::tie(a.day, a.time) ? 1
                                                             : 0;
}

[[noreturn]] void bad(const FilterLiteral& literal, std::string_view wanted) {
  throw ConfigError(fmt::format("where: '{}' is not {}", literal.text, wanted));
}

// Whether `text` is as `form` has it: 9 a digit, x a hexadecimal one, else itself.
bool has_form(std::string_view text, std::string_view form) {
  if (text.size() != form.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool hex = is_digit(c) || (c >= 'a' && c <= 'f');
    if (form[i] == '9' ? !is_digit(c) : form[i] == 'x' ? !hex : c != form[i]) return false;
  }
  return true;
}

bool is_date(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos || dash < 4 || dash > 6) return false;
  if (!std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(dash), is_digit) ||
      !has_form(text.substr(dash), "-99-99")) {
    return false;
  }
  const int year = std::stoi(std::string(text.substr(0, dash)));
  const int month = std::stoi(std::string(text.substr(dash + 1, 2)));
  const int day = std::stoi(std::string(text.substr(dash + 4, 2)));
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (year == 0 || month < 1 || month > 12) return false;
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return day >= 1 && day <= kDays[month - 1] + (leap && month == 2 ? 1 : 0);
}

// As PostgreSQL writes it; empty: no time of a day.
std::string time_of_day(std::string_view text) {
  if (has_form(text, "99:99")) return time_of_day(std::string(text) + ":00");
  if (text.size() < 8 || !has_form(text.substr(0, 8), "99:99:99")) return {};
  std::string_view fraction = text.substr(8);
  if (!fraction.empty() && (fraction.front() != '.' || fraction.size() < 2 || fraction.size() > 7 ||
                            !std::all_of(fraction.begin() + 1, fraction.end(), is_digit))) {
    return {};
  }
  if (text.substr(0, 2) > "23" || text.substr(3, 2) > "59" || text.substr(6, 2) > "59") return {};
  if (!fraction.empty()) fraction = fraction.substr(0, fraction.find_last_not_of('0') + 1);
  if (fraction == ".") fraction = {};
  return std::string(text.substr(0, 8)) + std::string(fraction);
}

std::string timestamp(std::string_view text) {
  const std::size_t space = std::min(text.find(' '), text.size());
  if (!is_date(text.substr(0, space))) return {};
  const std::string time = time_of_day(space == text.size() ? "00:00" : text.substr(space + 1));
  return time.empty() ? time : std::string(text.substr(0, space)) + " " + time;
}

bool is_decimal(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  const std::size_t point = std::min(text.find('.'), text.size());
  const auto digits = [](std::string_view part) {
    return !part.empty() && std::all_of(part.begin(), part.end(), is_digit);
  };
  return digits(text.substr(0, point)) && (point == text.size() || digits(text.substr(point + 1)));
}

// How many bytes the character at the front of `text` has.
std::size_t character_size(std::string_view text) {
  std::size_t size = 1;
  while (size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) ++size;
  return size;
}

}  // namespace

Comparable comparable_of(const TypeNames& types, std::string_view type) {
  const std::string base = types.underlying(type);
  if (base.ends_with("[]")) return Comparable::No;
  for (const KnownType& known : kKnown) {
    if (known.name == base) return known.comparable;
  }
  // Of the types of users only enums have the order of nothing we know; their texts are known.
  const auto own = types.all().find(base);
  return own != types.all().end() && own->second.empty() ? Comparable::TextForm : Comparable::No;
}

int compare(Comparable type, const Value& a, const Value& b) {
  switch (type) {
    case Comparable::Integer:
    case Comparable::Boolean:
      return order(a.integer, b.integer);
    case Comparable::Float:
      return compare_floats(a, b);
    case Comparable::Numeric:
      return compare_decimals(a.bytes, b.bytes);
    case Comparable::BlankPadded:
      return order(without_blanks(a.bytes), without_blanks(b.bytes));
    case Comparable::Date:
    case Comparable::Timestamp:
    case Comparable::TimestampTz:
      return compare_moments(a.bytes, b.bytes);
    default:
      return order(a.bytes, b.bytes);  // char_traits compares as unsigned bytes
  }
}

// Where it does not fit, the last % takes one character more.
bool is_like(std::string_view text, std::string_view pattern) {
  constexpr std::size_t kNone = std::string_view::npos;
  std::size_t t = 0;
  std::size_t p = 0;
  std::size_t after_percent = kNone;  // in the pattern
  std::size_t taken_to = 0;           // in the text, by that %
  for (;;) {
    if (p < pattern.size() && pattern[p] == '%') {
      after_percent = ++p;
      taken_to = t;
      continue;
    }
    if (p == pattern.size() && t == text.size()) return true;
    if (p < pattern.size() && t < text.size()) {
      const bool any = pattern[p] == '_';
      const std::size_t at = pattern[p] == '\\' ? p + 1 : p;  // never the last: that is refused
      if (any || pattern[at] == text[t]) {
        t += any ? character_size(text.substr(t)) : 1;
        p = at + 1;
        continue;
      }
    }
    if (after_percent == kNone || taken_to >= text.size()) return false;
    taken_to += character_size(text.substr(taken_to));
    t = taken_to;
    p = after_percent;
  }
}

LiteralValue::LiteralValue(Comparable type, const FilterLiteral& literal) {
  const bool is_text = literal.kind == FilterLiteral::Kind::Text;
  const bool is_truth =
      literal.kind == FilterLiteral::Kind::True || literal.kind == FilterLiteral::Kind::False;
  const std::string& text = literal.text;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  value_ = Value::of_text({});
  bytes_ = text;
  if (is_truth != (type == Comparable::Boolean)) {
    bad(literal, is_truth ? "of the column's type" : "TRUE or FALSE");
  }
  if (literal.kind == FilterLiteral::Kind::Number && type != Comparable::Integer &&
      type != Comparable::Float && type != Comparable::Numeric) {
    bad(literal, "of the column's type: put it in quotes");
  }
  switch (type) {
    case Comparable::Boolean:
      value_ = Value::of_integer(literal.kind == FilterLiteral::Kind::True ? 1 : 0);
      break;
    case Comparable::Integer: {
      value_ = Value::of_integer(0);
      const auto read = std::from_chars(begin, end, value_.integer);
      if (read.ec != std::errc() || read.ptr != end) bad(literal, "a bigint");
      break;
    }
    case Comparable::Float: {
      if (is_text && text == "NaN") break;
      value_.type = Value::Type::Real;
      if (is_text && (text == "Infinity" || text == "-Infinity")) {
        value_.real = text.front() == '-' ? -INFINITY : INFINITY;
        break;
      }
      const auto read = std::from_chars(begin, end, value_.real);
      if (read.ec != std::errc() || read.ptr != end || !std::isfinite(value_.real)) {
        bad(literal, "a number");
      }
      break;
    }
    case Comparable::Numeric:
      if (is_text && (text == "NaN" || text == "Infinity" || text == "-Infinity")) break;
      if (!is_decimal(text)) bad(literal, "a decimal number, like -10.50");
      break;
    case Comparable::Uuid:
      bytes_.clear();
      for (const char c : text) bytes_ += static_cast<char>(c >= 'A' && c <= 'F' ? c + 32 : c);
      if (!has_form(bytes_, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")) bad(literal, "a uuid");
      break;
    case Comparable::Bytea: {
      std::string scratch;
      try {
        value_ = convert({.kind = Kind::Blob}, text, scratch);
      } catch (const daystream::ProtocolError&) {
        bad(literal, "bytea in hex, like '\\x00ff'");
      }
      bytes_ = scratch;
      break;
    }
    case Comparable::Date:
      if (text != "infinity" && text != "-infinity" && !is_date(text)) {
        bad(literal, "a date, like '2026-11-21'");
      }
      break;
    case Comparable::Time:
      bytes_ = time_of_day(text);
      if (bytes_.empty()) bad(literal, "a time, like '10:15:04.5'");
      break;
    case Comparable::Timestamp:
    case Comparable::TimestampTz:
      if (text == "infinity" || text == "-infinity") break;
      bytes_ = timestamp(text);
      if (bytes_.empty()) bad(literal, "a timestamp (UTC), like '2026-11-21 10:15:04.5'");
      break;
    default:
      if (!is_text) bad(literal, "a text in quotes");
  }
}

std::string comparable_sql(Comparable type, const std::string& name) {
  switch (type) {
    case Comparable::Text:
      return fmt::format("(({})::pg_catalog.text COLLATE pg_catalog.\"C\")", name);
    case Comparable::BlankPadded:
      return fmt::format("(({})::pg_catalog.bpchar COLLATE pg_catalog.\"C\")", name);
    case Comparable::TextForm:
      // What the stream has, the output function's; of NULL format() would make ''.
      return fmt::format(
          "(CASE WHEN pg_catalog.num_nonnulls({0}) = 1 THEN pg_catalog.format('%s', "
          "{0}) END COLLATE pg_catalog.\"C\")",
          name);
    default:
      return name;
  }
}

std::string literal_sql(Comparable type, const LiteralValue& literal) {
  const Value value = literal.value();
  const auto cast = [](std::string_view text, std::string_view to) {
    return fmt::format("{}::pg_catalog.{}", sql_text(text), to);
  };
  switch (type) {
    case Comparable::Integer:
      return cast(std::to_string(value.integer), "int8");
    case Comparable::Boolean:
      return value.integer != 0 ? "TRUE" : "FALSE";
    case Comparable::Float:
      if (value.type == Value::Type::Text) return cast("NaN", "float8");
      if (std::isinf(value.real)) return cast(value.real < 0 ? "-Infinity" : "Infinity", "float8");
      return cast(fmt::format("{}", value.real), "float8");
    case Comparable::Numeric:
      return cast(value.bytes, "numeric");
    case Comparable::BlankPadded:
      return cast(value.bytes, "bpchar");
    case Comparable::Uuid:
      return cast(value.bytes, "uuid");
    case Comparable::Bytea: {
      std::string hex = "\\x";
      for (const char c : value.bytes) {
        fmt::format_to(std::back_inserter(hex), "{:02x}", static_cast<unsigned char>(c));
      }
      return cast(hex, "bytea");
    }
    case Comparable::Date:
      return cast(value.bytes, "date");
    case Comparable::Time:
      return cast(value.bytes, "time");
    case Comparable::Timestamp:
      return cast(value.bytes, "timestamp");
    case Comparable::TimestampTz:
      return cast(value.bytes.ends_with("infinity") ? std::string(value.bytes)
                                                    : std::string(value.bytes) + "+00",
                  "timestamptz");
    default:
      return cast(value.bytes, "text");
  }
}

}  // namespace deltamirror
