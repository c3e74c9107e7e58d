// The day files of a directory: their names, and which there are.
#pragma once

#include <cstdint>
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

// The days there are, oldest first, as day numbers.
std::vector<std::int64_t> list_days(Dir& dir);

}  // namespace daystream
