// Searching text for a few bytes, at the speed of memory.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace daystream::command {

// Looks for the same bytes again and again.
class Needle {
 public:
  // `bytes` is not empty.
  explicit Needle(std::string bytes);

  const std::string& bytes() const noexcept { return bytes_; }
  // Where the first of them begins in `text`; npos: they are not there.
  std::size_t find_in(std::string_view text) const noexcept;

 private:
  std::string bytes_;
  // The two of them, by place, that are least frequent in lines: looked for first.
  std::size_t rare_ = 0;
  std::size_t other_ = 0;
};

// `found` is a place in one of `lines`, or npos. Where that line is an `update` with a `replace`
// before it, the place where that begins: the two are one change.
std::size_t pair_at(std::string_view lines, std::size_t found) noexcept;

// Whether `needle`, which is not empty, is anywhere in `text`: for one search.
bool contains(std::string_view text, std::string_view needle) noexcept;

}  // namespace daystream::command
