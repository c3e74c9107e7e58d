// Where a line stands in a daystream: the `_c` and `_s` it begins with (FORMAT.md).
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace daystream {

struct Position {
  std::int64_t c = 0;   // seconds since 1970 UTC; every line of one transaction has the same
  std::uint64_t s = 0;  // place within that second, from 0, without holes

  auto operator<=>(const Position&) const = default;

  // Before the first line of any daystream.
  static constexpr Position begin() noexcept { return {-1, 0}; }

  std::string text() const;                                         // 1507507200/17
  std::string day() const;                                          // 2017-10-09, UTC
  static std::optional<Position> parse(std::string_view) noexcept;  // nullopt: not a position
};

}  // namespace daystream
