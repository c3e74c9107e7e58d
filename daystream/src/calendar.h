// UTC days and times, and how they are spelt. The files know no other time zone. What is spelt is a
// std::chrono type, so that seconds are not taken for microseconds.
#pragma once

#include <chrono>
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

using Moment = std::chrono::sys_time<std::chrono::microseconds>;

// Of numbers since 1970, as lines and the kernel have them.
constexpr std::chrono::sys_seconds at_second(std::int64_t seconds) noexcept {
  return std::chrono::sys_seconds{std::chrono::seconds{seconds}};
}
constexpr Moment at_microsecond(std::int64_t microseconds) noexcept {
  return Moment{std::chrono::microseconds{microseconds}};
}
std::int64_t now_us() noexcept;  // microseconds since 1970, by the clock of this host

// `2026-11-21T10:15:04Z`, as JSON and people have it.
std::string utc_text(std::chrono::sys_seconds);
// `2026-11-21 10:15:04.123456`, as timestamps stand in a mirror.
std::string timestamp_text(Moment);
// The same backwards; nullopt: the text is none of theirs. The second takes the time as JSON has it
// as well, with `T` and `Z`.
std::optional<std::chrono::sys_seconds> parse_utc_text(std::string_view) noexcept;
std::optional<Moment> parse_timestamp_text(std::string_view) noexcept;

}  // namespace daystream
