#include "filter/literal_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

namespace deltamirror {

using daystream::ConfigError;

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

[[noreturn]] void bad(const FilterLiteral& literal, std::string_view wanted) {
  throw ConfigError(fmt::format("where: '{}' is not {}", literal.text, wanted),
                    "write a value as PostgreSQL would take it for that column");
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

}  // namespace

// NOLINTNEXTLINE(readability-function-size): one case a type
OwnedValue literal_value(Comparable type, const FilterLiteral& literal) {
  const bool is_text = literal.kind == FilterLiteral::Kind::Text;
  const bool is_truth =
      literal.kind == FilterLiteral::Kind::True || literal.kind == FilterLiteral::Kind::False;
  const std::string& text = literal.text;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  Value value = Value::of_text({});
  std::string bytes = text;
  if (is_truth != (type == Comparable::Boolean)) {
    bad(literal, is_truth ? "of the column's type" : "TRUE or FALSE");
  }
  if (literal.kind == FilterLiteral::Kind::Number && type != Comparable::Integer &&
      type != Comparable::Float && type != Comparable::Numeric) {
    bad(literal, "of the column's type: put it in quotes");
  }
  switch (type) {
    case Comparable::Boolean:
      value = Value::of_integer(literal.kind == FilterLiteral::Kind::True ? 1 : 0);
      break;
    case Comparable::Integer: {
      value = Value::of_integer(0);
      const auto read = std::from_chars(begin, end, value.integer);
      if (read.ec != std::errc() || read.ptr != end) bad(literal, "a bigint");
      break;
    }
    case Comparable::Float: {
      if (is_text && text == "NaN") break;
      value.type = Value::Type::Real;
      if (is_text && (text == "Infinity" || text == "-Infinity")) {
        value.real = text.front() == '-' ? -INFINITY : INFINITY;
        break;
      }
      const auto read = std::from_chars(begin, end, value.real);
      if (read.ec != std::errc() || read.ptr != end || !std::isfinite(value.real)) {
        bad(literal, "a number");
      }
      break;
    }
    case Comparable::Numeric:
      if (is_text && (text == "NaN" || text == "Infinity" || text == "-Infinity")) break;
      if (!is_decimal(text)) bad(literal, "a decimal number, like -10.50");
      break;
    case Comparable::Uuid:
      bytes.clear();
      for (const char c : text) bytes += static_cast<char>(c >= 'A' && c <= 'F' ? c + 32 : c);
      if (!has_form(bytes, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")) bad(literal, "a uuid");
      break;
    case Comparable::Bytea: {
      std::string scratch;
      try {
        value = convert({.kind = Kind::Blob}, text, scratch);
      } catch (const daystream::ProtocolError&) {
        bad(literal, "bytea in hex, like '\\x00ff'");
      }
      bytes = scratch;
      break;
    }
    case Comparable::Date:
      if (text != "infinity" && text != "-infinity" && !is_date(text)) {
        bad(literal, "a date, like '2026-11-21'");
      }
      break;
    case Comparable::Time:
      bytes = time_of_day(text);
      if (bytes.empty()) bad(literal, "a time, like '10:15:04.5'");
      break;
    case Comparable::Timestamp:
    case Comparable::TimestampTz:
      if (text == "infinity" || text == "-infinity") break;
      bytes = timestamp(text);
      if (bytes.empty()) bad(literal, "a timestamp (UTC), like '2026-11-21 10:15:04.5'");
      break;
    default:
      if (!is_text) bad(literal, "a text in quotes");
  }
  value.bytes = bytes;
  return OwnedValue(value);
}

std::string literal_sql(Comparable type, const Value& value) {
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
