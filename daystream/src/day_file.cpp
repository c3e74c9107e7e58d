#include "day_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "calendar.h"
#include "daystream/error.h"
#include "packed_day.h"

namespace daystream {

namespace {
constexpr std::string_view kSuffix = ".tsv";
constexpr std::string_view kPackedSuffix = ".tsv.zst";
constexpr std::string_view kFresh = ".new";  // while a file is written that replaces another

// What an earlier start may have left, and what every new file system has.
bool is_of_a_daystream(std::string_view name) {
  constexpr std::string_view kOurs[] = {kManifestName, kDurableName, kLockName,   "status.json",
                                        "copies.json", ".spool",     "lost+found"};
  if (name.ends_with(kFresh)) name.remove_suffix(kFresh.size());
  return name == "." || name == ".." || day_of_file_name(name).has_value() ||
         std::find(std::begin(kOurs), std::end(kOurs), name) != std::end(kOurs);
}
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

void require_own_directory(const std::filesystem::path& directory) {
  if (!std::filesystem::exists(directory)) return;
  if (!std::filesystem::is_directory(directory)) {
    throw NeedsPerson(fmt::format("\"{}\" is no directory", directory.string()),
                      "name another place for the daystream, or move it away");
  }
  const auto dir = real_dir(directory);
  if (dir->open(kManifestName)) return;
  if (!list_days(*dir).empty()) {
    throw Corruption(dir->path_of(kManifestName), 0, "the file is missing, there are day files",
                     "restore it from a copy: it says which database the changes are of");
  }
  for (const std::string& name : dir->list()) {
    if (is_of_a_daystream(name)) continue;
    throw NeedsPerson(
        fmt::format("directory \"{}\" is no daystream, and not empty: it holds \"{}\"",
                    directory.string(), name),
        "name an empty directory, or one that is not there yet: a daystream has one of its own");
  }
}

}  // namespace daystream
