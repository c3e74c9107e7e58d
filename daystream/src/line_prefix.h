// The `_c SECONDS _s SEQ` that every line of a file begins with.
#pragma once

#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>

#include "daystream/position.h"

namespace daystream {

inline constexpr std::string_view kCrcKey = "_crc\t";
inline constexpr std::size_t kCrcFieldSize = 14;  // `_crc`, tab, eight digits, tab

// A position as its prefix, tabs included: to write one, or to compare with the one expected.
// Counting up costs a few bytes, not a division per digit.
class LinePrefix {
 public:
  explicit LinePrefix(Position position) noexcept { set(position); }

  void set(Position position) noexcept;
  void count_up() noexcept;  // the next `_s`
  std::string_view view() const noexcept { return {text_, size_}; }

 private:
  char text_[64];
  std::size_t size_ = 0;
};

struct ParsedPrefix {
  Position position;
  std::size_t size;  // of the prefix with its last tab
};
// nullopt: `line` does not begin with a prefix.
std::optional<ParsedPrefix> parse_prefix(std::string_view line) noexcept;

}  // namespace daystream
