#include "snapshot/rotation.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <set>

namespace deltamirror {

namespace {

using std::chrono::days;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::year_month_day;

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

}  // namespace

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
