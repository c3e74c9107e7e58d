// Searching text for a few bytes, at the speed of memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
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
  // The same, or, where that comes first, a place in a line about a whole table: `schema`,
  // `truncate`, `rewrite`, `drop`. One pass finds both.
  std::size_t find_with_table_verbs(std::string_view text) const noexcept;

 private:
  template <bool kTableVerbs>
  std::uint32_t next_block(const char* text, std::size_t& at, std::size_t last) const noexcept;
  template <bool kTableVerbs>
  std::size_t find(std::string_view text) const noexcept;

  std::string bytes_;
  // Places of those bytes that are least frequent in lines. They are looked for first. (One byte
  // may be there twice.)
  std::array<std::size_t, 3> rare_ = {};
};

// `found` is a place in one of `lines`, or npos. Where that line is an `update` with a `replace`
// before it, the place where that begins: the two are one change.
std::size_t pair_at(std::string_view lines, std::size_t found) noexcept;

// Where the first `schema` line is, or what looks like one; npos: there is none.
std::size_t find_shape(std::string_view lines) noexcept;

// Whether `needle`, which is not empty, is anywhere in `text`: for one search.
bool contains(std::string_view text, std::string_view needle) noexcept;

}  // namespace daystream::command
