// The day files of a directory: their names, and which there are.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dir.h"

namespace daystream {

inline constexpr const char* kManifestName = "daystream.json";
inline constexpr const char* kDurableName = "durable";
inline constexpr const char* kLockName = "lock";

std::string day_file_name(std::int64_t day_number);                            // 2026-11-21.tsv
std::optional<std::int64_t> day_of_file_name(std::string_view name) noexcept;  // nullopt: another

// 2026-11-21.tsv.zst, and what it is called while it is written.
std::string packed_file_name(std::int64_t day_number);
std::string packing_file_name(std::int64_t day_number);

// A day as its text, whether it is compressed or not.
struct DayFile {
  std::unique_ptr<File> file;  // its path() is that of the file there is
  bool packed = false;
  std::uint64_t stored_bytes = 0;  // what it takes on disk
  explicit operator bool() const noexcept { return file != nullptr; }
};

// Empty: there is no such day. A plain file can be written if `writable`.
//
// Where both files are there the compressed one counts once it is whole: it was verified before it
// got its name, and a program that decompresses it by hand writes a plain file that is not whole
// yet. While a day is being compressed there is always one of the two (housekeeping.cpp). Throws
// Corruption where all there is is a file of that name that is no compressed day.
DayFile open_day_file(Dir& dir, std::int64_t day_number, bool writable = false);

// The days there are, oldest first, as day numbers.
std::vector<std::int64_t> list_days(Dir& dir);

// To be called before a daystream is begun in `directory`, which need not be there: throws
// NeedsPerson where it holds files that are not of a daystream, and Corruption where there are day
// files and no daystream.json. Does nothing where there is a daystream.
void require_own_directory(const std::filesystem::path& directory);

}  // namespace daystream
