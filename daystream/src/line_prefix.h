// The `_c SECONDS _s SEQ` that every line of a file begins with.
#pragma once

#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "daystream/position.h"

namespace daystream {

inline constexpr std::string_view kCrcKey = "_crc\t";
inline constexpr std::size_t kCrcFieldSize = 14;  // `_crc`, tab, eight digits, tab

// A position as its prefix, tabs included. It is written, or compared with the prefix that is
// expected. Counting up changes a few bytes and needs no division per digit.
class LinePrefix {
 public:
  explicit LinePrefix(Position position) noexcept { set(position); }

  void set(Position position) noexcept;
  void count_up() noexcept {  // the next `_s`
    if (unit_ == '9') return carry();
    ++unit_;
  }
  std::string_view view() const noexcept {
    text_[size_ - 2] = unit_;
    return {text_, size_};
  }
  // Writes it to `out`, which has room for kRoom bytes: a copy of fixed size is a few instructions.
  std::size_t copy_to(char* out) const noexcept {
    std::memcpy(out, text_, 32);
    if (size_ > 32) std::memcpy(out + 32, text_ + 32, kRoom - 32);
    out[size_ - 2] = unit_;
    return size_;
  }
  inline static constexpr std::size_t kRoom = 48;  // two numbers of 20 digits, and 8 characters

 private:
  void carry() noexcept;

  // The last digit is kept apart and put in where it is used: a processor that reads many bytes of
  // which it has just written one must wait for the write.
  mutable char text_[kRoom] = {};
  std::size_t size_ = 0;
  char unit_ = '0';
};

struct ParsedPrefix {
  Position position;
  std::size_t size;  // of the prefix with its last tab
};
// nullopt: `line` does not begin with a prefix.
std::optional<ParsedPrefix> parse_prefix(std::string_view line) noexcept;

// How what should be a line begins, as messages quote it: printable, and not much of it.
std::string quoted_start(std::string_view line);

}  // namespace daystream
