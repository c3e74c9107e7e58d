#include "filter/comparable.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>
#include <string>
#include <tuple>

namespace deltamirror {

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

// The shortest decimal that names a double has the digits of the numeric that it was made of, as
// that has at most 15 (numeric_kind() in values/types.cpp).
std::string decimal_text(const Value& value) {
  if (value.type == Value::Type::Integer) return std::to_string(value.integer);
  if (value.type != Value::Type::Real) return std::string(value.bytes);
  char text[512];
  const auto end =
      std::to_chars(std::begin(text), std::end(text), value.real, std::chars_format::fixed);
  return {text, end.ptr};
}

int compare_decimals(const Value& left, const Value& right) {
  const std::string left_text = decimal_text(left);
  const std::string right_text = decimal_text(right);
  const Decimal a(left_text);
  const Decimal b(right_text);
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
      return compare_decimals(a, b);
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

}  // namespace deltamirror
