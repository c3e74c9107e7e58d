#include "day_file.h"

#include <algorithm>

#include "calendar.h"

namespace daystream {

namespace {
constexpr std::string_view kSuffix = ".tsv";
}

std::string day_file_name(std::int64_t day) {
  return day_text(day) + std::string(kSuffix);
}

std::optional<std::int64_t> day_of_file_name(std::string_view name) noexcept {
  if (!name.ends_with(kSuffix)) return std::nullopt;
  return parse_day(name.substr(0, name.size() - kSuffix.size()));
}

std::vector<std::int64_t> list_days(Dir& dir) {
  std::vector<std::int64_t> days;
  for (const std::string& name : dir.list()) {
    if (const auto day = day_of_file_name(name)) days.push_back(*day);
  }
  std::sort(days.begin(), days.end());
  return days;
}

}  // namespace daystream
