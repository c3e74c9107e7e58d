// The text of common types, byte for byte as PostgreSQL's own output functions write it under the
// plugin's fixed settings (settings.h), without their allocations. Pure C++, no server header.
//
// Contract: noexcept, no allocation; each writes at most kMaxFixedText bytes to `out` (the hex form
// excepted) and returns how many. tests/integration/plugin compares each with PostgreSQL.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace deltaflood {

inline constexpr std::size_t kMaxFixedText = 64;

std::size_t format_int(char* out, std::int64_t value) noexcept;
std::size_t format_unsigned(char* out, std::uint64_t value) noexcept;
std::size_t format_uuid(char* out, const unsigned char (&bytes)[16]) noexcept;

// `0/17B1480`, as PostgreSQL prints it.
std::size_t format_lsn(char* out, std::uint64_t lsn) noexcept;

// SECONDS.MICROS since 1970 from microseconds since 2000; six digits of microseconds.
std::size_t format_unix_time(char* out, std::int64_t postgres_us) noexcept;

// Days since 2000-01-01, microseconds since then, microseconds of a day. Return 0, and the caller
// asks PostgreSQL, for what lies outside the years 1 to 9999 (infinity and BC among them) or the
// day: what a damaged page holds is read like any other.
std::size_t format_date(char* out, std::int32_t days) noexcept;
std::size_t format_timestamp(char* out, std::int64_t postgres_us) noexcept;
std::size_t format_time(char* out, std::int64_t us) noexcept;

// Two lower-case digits a byte, no prefix: 2 * bytes.size().
void format_hex(char* out, std::string_view bytes) noexcept;

}  // namespace deltaflood
