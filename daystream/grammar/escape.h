// The bytes of a line: UTF-8 and escaping. One piece of code for the plugin, which writes lines,
// and for the library, which writes some as well.
//
// Contract of everything here: noexcept, no allocation, no backend call, so that the plugin may run
// it between two backend calls which jump. The caller reserves the room.
#pragma once

#include <cstddef>
#include <string_view>

namespace grammar {

// NULL as a value. No escaped text can be these two characters.
inline constexpr std::string_view kNull = "\\N";

// Most bytes one byte becomes (\xHH), and what the vector stores may write beyond the result.
inline constexpr std::size_t kEscapeGrowth = 4;
inline constexpr std::size_t kEscapeSlack = 16;

// Writes `text` to `out` with tab, newline, carriage return and backslash escaped and every byte
// that is not part of valid UTF-8 as \xHH; returns the bytes written. `out` must have room for
// kEscapeGrowth * text.size() + kEscapeSlack, or for escaped_size(text) + kEscapeSlack.
std::size_t escape_into(char* out, std::string_view text) noexcept;

// What escape_into() would write.
std::size_t escaped_size(std::string_view text) noexcept;

// Bytes of the valid UTF-8 sequence at the start of `text`; 0 if there is none. RFC 3629: no
// overlong form, no surrogate, nothing above U+10FFFF.
std::size_t utf8_length(std::string_view text) noexcept;

}  // namespace grammar
