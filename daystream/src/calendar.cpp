#include "calendar.h"

#include <fmt/format.h>

#include <chrono>

namespace daystream {

namespace {

using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::year_month_day;

std::optional<int> digits(std::string_view text) noexcept {
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

std::int64_t day_number(std::int64_t seconds) noexcept {
  const std::int64_t day = seconds / kSecondsPerDay;
  return seconds % kSecondsPerDay < 0 ? day - 1 : day;
}

std::string day_text(std::int64_t day) {
  const year_month_day date{sys_days{std::chrono::days{day}}};
  return fmt::format("{:04}-{:02}-{:02}", int{date.year()}, unsigned{date.month()},
                     unsigned{date.day()});
}

std::optional<std::int64_t> parse_day(std::string_view text) noexcept {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const auto year = digits(text.substr(0, 4));
  const auto month = digits(text.substr(5, 2));
  const auto day = digits(text.substr(8, 2));
  if (!year || !month || !day) return std::nullopt;
  const year_month_day date{std::chrono::year{*year},
                            std::chrono::month{static_cast<unsigned>(*month)},
                            std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  return sys_days{date}.time_since_epoch().count();
}

namespace {

// The 19 characters up to the seconds, whatever stands between day and time.
std::optional<sys_seconds> parse_seconds(std::string_view text) noexcept {
  if (text[13] != ':' || text[16] != ':') return std::nullopt;
  const auto day = parse_day(text.substr(0, 10));
  const auto hours = digits(text.substr(11, 2));
  const auto minutes = digits(text.substr(14, 2));
  const auto seconds = digits(text.substr(17, 2));
  if (!day || !hours || !minutes || !seconds || *hours > 23 || *minutes > 59 || *seconds > 59) {
    return std::nullopt;
  }
  return at_second(*day * kSecondsPerDay + *hours * 3600 + *minutes * 60 + *seconds);
}

}  // namespace

std::int64_t now_us() noexcept {
  return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now())
      .time_since_epoch()
      .count();
}

std::string utc_text(sys_seconds time) {
  std::string out = timestamp_text(time).substr(0, 19);
  out[10] = 'T';
  return out += 'Z';
}

// By hand, as it stands beside every commit of a mirror: fmt and gmtime_r take longer than the
// UPDATE itself.
std::string timestamp_text(Moment time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const year_month_day date{day};
  std::string out = "0000-00-00 00:00:00.000000";
  const auto put = [&](std::size_t at, int digits, std::int64_t value) {
    for (int i = digits - 1; i >= 0; --i, value /= 10) {
      out[at + static_cast<std::size_t>(i)] = static_cast<char>('0' + value % 10);
    }
  };
  const std::int64_t of_day = (time - day).count();
  put(0, 4, int{date.year()});
  put(5, 2, unsigned{date.month()});
  put(8, 2, unsigned{date.day()});
  put(11, 2, of_day / 3'600'000'000);
  put(14, 2, of_day / 60'000'000 % 60);
  put(17, 2, of_day / 1'000'000 % 60);
  put(20, 6, of_day % 1'000'000);
  return out;
}

std::optional<sys_seconds> parse_utc_text(std::string_view text) noexcept {
  if (text.size() != 20 || text[10] != 'T' || text[19] != 'Z') return std::nullopt;
  return parse_seconds(text.substr(0, 19));
}

std::optional<Moment> parse_timestamp_text(std::string_view text) noexcept {
  if (text.ends_with('Z')) text.remove_suffix(1);
  if (text.size() != 26 || (text[10] != ' ' && text[10] != 'T') || text[19] != '.') {
    return std::nullopt;
  }
  const auto seconds = parse_seconds(text.substr(0, 19));
  const auto micros = digits(text.substr(20));
  if (!seconds || !micros) return std::nullopt;
  return *seconds + std::chrono::microseconds{*micros};
}

}  // namespace daystream
