#include "program/snapshot_name.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <filesystem>

namespace daystream::program {

namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::year_month_day;

constexpr std::string_view kSnapshotSuffix = ".db";
constexpr std::size_t kTimeLength = 16;  // 20261121T101504Z

// With leading zeros: how it is written is checked as a whole.
std::optional<unsigned> number(std::string_view digits) {
  unsigned value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

}  // namespace

std::string snapshot_name(const std::string& mirror, std::int64_t time) {
  const auto day = std::chrono::floor<days>(sys_seconds(std::chrono::seconds(time)));
  const year_month_day date(day);
  const std::chrono::hh_mm_ss clock(sys_seconds(std::chrono::seconds(time)) - day);
  return fmt::format("{}-{:04}{:02}{:02}T{:02}{:02}{:02}Z{}",
                     std::filesystem::path(mirror).stem().string(), int{date.year()},
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
  const year_month_day date(std::chrono::year(static_cast<int>(*year)), std::chrono::month(*month),
                            std::chrono::day(*day));
  if (!date.ok()) return std::nullopt;
  const std::int64_t found = sys_seconds(sys_days(date)).time_since_epoch().count() + *hour * 3600 +
                             *minute * 60 + *second;
  // It is one if it would be written in just this way.
  if (snapshot_name(stem + ".db", found) != name) return std::nullopt;
  return SnapshotName{stem, found};
}

}  // namespace daystream::program
