#include "snapshot/rotation.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <functional>
#include <set>

namespace deltamirror {

namespace {

using std::chrono::days;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::year_month_day;

constexpr std::string_view kSnapshotSuffix = ".db";
constexpr std::size_t kTimeLength = 16;  // 20261121T101504Z

sys_days utc_day(std::int64_t time) {
  return std::chrono::floor<days>(sys_seconds(seconds(time)));
}

std::int64_t hour_number(std::int64_t time) {
  return std::chrono::floor<std::chrono::hours>(seconds(time)).count();
}

std::int64_t day_number(std::int64_t time) {
  return utc_day(time).time_since_epoch().count();
}

// 1970-01-01 was a Thursday; ISO weeks begin on Mondays.
std::int64_t week_number(std::int64_t time) {
  return std::chrono::floor<std::chrono::weeks>(utc_day(time) + days(3)).time_since_epoch().count();
}

std::int64_t month_number(std::int64_t time) {
  const year_month_day date(utc_day(time));
  return int{date.year()} * 12 + unsigned{date.month()};
}

std::optional<int> number(std::string_view digits) {
  int value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (digits.empty() || digits[0] == '-' || error != std::errc() || stop != end) {
    return std::nullopt;
  }
  return value;
}

std::string stem_of(const std::string& mirror) {
  return std::filesystem::path(mirror).stem().string();
}

}  // namespace

std::optional<Retention> parse_retention(std::string_view text) {
  Retention keep;
  while (!text.empty()) {
    const auto comma = text.find(',');
    std::string_view part = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    if (part.empty() || (comma != std::string_view::npos && text.empty())) return std::nullopt;
    unsigned* target = &keep.last;
    if (part.back() == 'h') target = &keep.hourly;
    if (part.back() == 'd') target = &keep.daily;
    if (part.back() == 'w') target = &keep.weekly;
    if (part.back() == 'm') target = &keep.monthly;
    if (target != &keep.last) part.remove_suffix(1);
    const auto count = number(part);
    if (!count || *count == 0 || *count > 10'000 || *target != 0) return std::nullopt;
    *target = static_cast<unsigned>(*count);
  }
  if (keep.last + keep.hourly + keep.daily + keep.weekly + keep.monthly == 0) return std::nullopt;
  return keep;
}

std::string snapshot_name(const std::string& mirror, std::int64_t time) {
  const sys_days day = utc_day(time);
  const year_month_day date(day);
  const std::chrono::hh_mm_ss clock(sys_seconds(seconds(time)) - day);
  return fmt::format("{}-{:04}{:02}{:02}T{:02}{:02}{:02}Z{}", stem_of(mirror), int{date.year()},
                     unsigned{date.month()}, unsigned{date.day()}, clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), kSnapshotSuffix);
}

std::optional<SnapshotName> parse_snapshot_name(std::string_view name) {
  const std::size_t tail = 1 + kTimeLength + kSnapshotSuffix.size();
  if (name.size() <= tail || !name.ends_with(kSnapshotSuffix)) return std::nullopt;
  const std::string stem(name.substr(0, name.size() - tail));
  const std::string_view time = name.substr(stem.size() + 1, kTimeLength);
  const auto year = number(time.substr(0, 4));
  const auto month = number(time.substr(4, 2));
  const auto day = number(time.substr(6, 2));
  const auto hour = number(time.substr(9, 2));
  const auto minute = number(time.substr(11, 2));
  const auto second = number(time.substr(13, 2));
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const year_month_day date(std::chrono::year(*year),
                            std::chrono::month(static_cast<unsigned>(*month)),
                            std::chrono::day(static_cast<unsigned>(*day)));
  if (!date.ok()) return std::nullopt;
  const std::int64_t found = sys_seconds(sys_days(date)).time_since_epoch().count() + *hour * 3600 +
                             *minute * 60 + *second;
  // It is one if it would be written in just this way.
  if (snapshot_name(stem + ".db", found) != name) return std::nullopt;
  return SnapshotName{stem, found};
}

std::vector<std::int64_t> superfluous(std::vector<std::int64_t> times, const Retention& keep) {
  std::sort(times.begin(), times.end(), std::greater<>());
  std::set<std::int64_t> stay;
  if (!times.empty()) stay.insert(times.front());
  const auto keep_by = [&](unsigned count, const auto& period_of) {
    std::set<std::int64_t> periods;
    for (const std::int64_t time : times) {
      const std::int64_t period = period_of(time);
      if (periods.count(period) != 0) continue;
      if (periods.size() == count) return;
      periods.insert(period);
      stay.insert(time);
    }
  };
  keep_by(keep.last, [](std::int64_t time) { return time; });
  keep_by(keep.hourly, hour_number);
  keep_by(keep.daily, day_number);
  keep_by(keep.weekly, week_number);
  keep_by(keep.monthly, month_number);
  std::erase_if(times, [&](std::int64_t time) { return stay.count(time) != 0; });
  return times;
}

}  // namespace deltamirror
