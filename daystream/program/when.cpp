#include "when.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>

#include "calendar.h"
#include "daystream/error.h"

namespace daystream::program {

namespace {

constexpr const char* kTimeHint =
    "write a time like \"2026-11-21\", \"2026-11-21 10:15\", \"10:15\", \"yesterday 14:00\", "
    "\"2h ago\", \"@1507507200\": in UTC, unless it ends in an offset like \"+02:00\"";

constexpr std::int64_t kMicros = 1'000'000;
constexpr std::int64_t kLastSecond = 253'402'300'799;  // of the year 9999

// All of `text` as a number without sign.
std::optional<std::int64_t> digits(std::string_view text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || text[0] == '-' || error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

// Two digits, at most `most`.
std::optional<std::int64_t> part(std::string_view text, std::int64_t most) {
  const auto value = digits(text);
  return text.size() == 2 && value && *value <= most ? value : std::nullopt;
}

// .184022 and the like as microseconds; finer digits are left out.
std::optional<std::int64_t> fraction(std::string_view text) {
  if (text.size() < 2 || text[0] != '.' || text.size() > 19) return std::nullopt;
  text.remove_prefix(1);
  if (!digits(text)) return std::nullopt;
  std::string six(text.substr(0, 6));
  six.resize(6, '0');
  return digits(six);
}

// 10:15, 10:15:04 or 10:15:04.184022 as microseconds of a day.
std::optional<std::int64_t> clock_time(std::string_view text) {
  std::optional<std::int64_t> micros = 0;
  if (text.size() > 8) {
    micros = fraction(text.substr(8));
    text = text.substr(0, 8);
  }
  if ((text.size() != 5 && text.size() != 8) || text[2] != ':') return std::nullopt;
  const auto hours = part(text.substr(0, 2), 23);
  const auto minutes = part(text.substr(3, 2), 59);
  std::optional<std::int64_t> seconds = 0;
  if (text.size() == 8) seconds = text[5] == ':' ? part(text.substr(6), 60) : std::nullopt;
  if (!hours || !minutes || !seconds || !micros) return std::nullopt;
  return (*hours * 3600 + *minutes * 60 + *seconds) * kMicros + *micros;
}

// 1507507200 or 1507507200.184022.
std::optional<std::int64_t> unix_time(std::string_view text) {
  const auto point = text.find('.');
  const auto seconds = digits(text.substr(0, point));
  std::optional<std::int64_t> micros = 0;
  if (point != std::string_view::npos) micros = fraction(text.substr(point));
  if (!seconds || *seconds > kLastSecond || !micros) return std::nullopt;
  return *seconds * kMicros + *micros;
}

// Takes Z, +02, +0200 or -05:30 from the end of `text`: seconds east of Greenwich, 0 where there is
// none. nullopt: it is not one.
std::optional<std::int64_t> take_offset(std::string_view& text) {
  if (text.ends_with('Z')) {
    text.remove_suffix(1);
    return 0;
  }
  const auto sign = text.find_last_of("+-");
  if (sign == std::string_view::npos) return 0;
  const std::string_view offset = text.substr(sign + 1);
  const bool colon = offset.size() == 5 && offset[2] == ':';
  const auto hours = part(offset.substr(0, 2), 15);
  std::optional<std::int64_t> minutes = 0;
  if (offset.size() > 2) minutes = part(offset.substr(colon ? 3 : 2), 59);
  if (!hours || !minutes) return std::nullopt;
  const std::int64_t seconds = *hours * 3600 + *minutes * 60;
  const std::int64_t east = text[sign] == '-' ? -seconds : seconds;
  text = text.substr(0, sign);
  if (text.ends_with(' ')) text.remove_suffix(1);
  return east;
}

}  // namespace

std::optional<std::int64_t> parse_span(std::string_view text) {
  const auto unit_at = text.find_first_not_of("0123456789");
  const auto count = digits(text.substr(0, unit_at));
  if (!count || unit_at == std::string_view::npos || *count > 1'000'000'000) return std::nullopt;
  text.remove_prefix(unit_at);
  if (text.starts_with(' ')) text.remove_prefix(1);
  struct Unit {
    std::string_view name;
    std::int64_t seconds;
  };
  static constexpr Unit kUnits[] = {
      {"s", 1},         {"sec", 1},       {"second", 1},   {"seconds", 1},  {"m", 60},
      {"min", 60},      {"minute", 60},   {"minutes", 60}, {"h", 3600},     {"hour", 3600},
      {"hours", 3600},  {"d", 86400},     {"day", 86400},  {"days", 86400}, {"w", 604800},
      {"week", 604800}, {"weeks", 604800}};
  for (const Unit& unit : kUnits) {
    if (unit.name == text) return *count * unit.seconds;
  }
  return std::nullopt;
}

std::optional<std::int64_t> parse_time_us(const std::string& written, std::int64_t now) {
  std::string_view text = written;
  const std::int64_t today = day_number(now / kMicros) * kSecondsPerDay;
  if (text == "now") return now;
  if (text.starts_with('@')) return unix_time(text.substr(1));
  constexpr std::string_view kAgo = " ago";
  std::optional<std::int64_t> back;
  if (text.starts_with('-')) {
    back = parse_span(text.substr(1));
  } else if (text.ends_with(kAgo)) {
    back = parse_span(text.substr(0, text.size() - kAgo.size()));
  }
  if (back) return now - *back * kMicros;

  std::int64_t begin = today;  // of the day that is meant
  bool has_day = true;
  std::optional<std::int64_t> day;
  if (text.starts_with("today")) {
    text.remove_prefix(5);
  } else if (text.starts_with("yesterday")) {
    text.remove_prefix(9);
    begin = today - kSecondsPerDay;
  } else if ((day = parse_day(text.substr(0, 10)))) {
    text.remove_prefix(10);
    begin = *day * kSecondsPerDay;
  } else {
    has_day = false;
  }
  if (has_day) {
    if (text.empty()) return begin * kMicros;
    if (text.front() != ' ' && text.front() != 'T') return std::nullopt;
    text.remove_prefix(1);
  }
  const auto east = take_offset(text);
  if (!east) return std::nullopt;
  const auto of_day = clock_time(text);
  if (!of_day) return std::nullopt;
  return (begin - *east) * kMicros + *of_day;
}

std::optional<std::int64_t> parse_time(const std::string& text, std::int64_t now) {
  const auto micros = parse_time_us(text, now * kMicros);
  if (!micros) return std::nullopt;
  return *micros / kMicros;
}

Position parse_position(const std::string& option, const std::string& text) {
  const auto position = Position::parse(text);
  if (!position) {
    throw ConfigError(fmt::format("invalid position \"{}\" for {}", text, option),
                      "write it as SECONDS/SEQ, the _c and _s of a line: 1507507200/17");
  }
  return *position;
}

Lsn parse_lsn(const std::string& option, const std::string& text) {
  const auto lsn = Lsn::parse(text);
  if (!lsn) {
    throw ConfigError(fmt::format("invalid LSN \"{}\" for {}", text, option),
                      "write it as PostgreSQL does: 0/17B1480");
  }
  return *lsn;
}

When parse_when(const std::string& option, const std::string& text, std::int64_t now) {
  const auto slash = text.find('/');
  if (slash != std::string::npos) {
    if (slash > 8) return parse_position(option, text);
    return parse_lsn(option, text);
  }
  const auto micros = parse_time_us(text, now * kMicros);
  if (!micros) {
    throw ConfigError(fmt::format("invalid time \"{}\" for {}", text, option), kTimeHint);
  }
  return Time{*micros / kMicros, *micros % kMicros};
}

}  // namespace daystream::program
