// A place in PostgreSQL's write-ahead log. Printed and read as PostgreSQL does: 0/17B1480.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace daystream {

struct Lsn {
  std::uint64_t value = 0;  // bytes since the beginning of the log; 0 is PostgreSQL's "invalid"

  auto operator<=>(const Lsn&) const = default;

  std::string text() const;                                    // 0/17B1480
  static std::optional<Lsn> parse(std::string_view) noexcept;  // nullopt: not an LSN
};

}  // namespace daystream
