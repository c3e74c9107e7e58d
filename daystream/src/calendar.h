// UTC days and how they are spelt. The files know no other time zone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace daystream {

inline constexpr std::int64_t kSecondsPerDay = 86400;

// Days since 1970-01-01, rounded towards the past.
std::int64_t day_number(std::int64_t seconds) noexcept;

std::string day_text(std::int64_t day_number);                     // 2026-11-21
std::optional<std::int64_t> parse_day(std::string_view) noexcept;  // nullopt: not a day
std::string utc_text(std::int64_t seconds);                        // 2026-11-21T10:15:04Z
// nullopt: not as utc_text() writes it
std::optional<std::int64_t> parse_utc_text(std::string_view) noexcept;

}  // namespace daystream
