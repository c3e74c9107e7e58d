#include "day_file.h"

#include <algorithm>

#include "calendar.h"
#include "daystream/error.h"
#include "packed_day.h"

namespace daystream {

namespace {
constexpr std::string_view kSuffix = ".tsv";
constexpr std::string_view kPackedSuffix = ".tsv.zst";
}  // namespace

std::string day_file_name(std::int64_t day) {
  return day_text(day) + std::string(kSuffix);
}

std::optional<std::int64_t> day_of_file_name(std::string_view name) noexcept {
  for (const std::string_view suffix : {kSuffix, kPackedSuffix}) {
    if (name.ends_with(suffix)) return parse_day(name.substr(0, name.size() - suffix.size()));
  }
  return std::nullopt;
}

std::string packed_file_name(std::int64_t day) {
  return day_text(day) + std::string(kPackedSuffix);
}

std::string packing_file_name(std::int64_t day) {
  return packed_file_name(day) + ".new";
}

DayFile open_day_file(Dir& dir, std::int64_t day, bool writable) {
  // Two looks: the plain file may go between them, once its compressed one is there.
  for (int tries = 0; tries < 2; ++tries) {
    if (auto packed = dir.open(packed_file_name(day))) {
      const std::uint64_t size = packed->size();
      if (const auto summary = read_summary(*packed)) {
        return {unpacked(std::move(packed), *summary), true, size};
      }
      if (tries > 0) {
        throw Corruption(packed->path(), size, "the file does not end in the index of a day",
                         "if another program compressed it: zstd -d --rm");
      }
    }
    const std::string name = day_file_name(day);
    if (auto plain = writable ? dir.open_writable(name) : dir.open(name)) {
      const std::uint64_t size = plain->size();
      return {std::move(plain), false, size};
    }
  }
  return {};
}

std::vector<std::int64_t> list_days(Dir& dir) {
  std::vector<std::int64_t> days;
  for (const std::string& name : dir.list()) {
    if (const auto day = day_of_file_name(name)) days.push_back(*day);
  }
  std::sort(days.begin(), days.end());
  days.erase(std::unique(days.begin(), days.end()), days.end());
  return days;
}

}  // namespace daystream
