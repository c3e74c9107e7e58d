// Numbers as the files spell them: decimal, no sign but a leading `-` where the type has one, no
// leading zeros, so that every number has one spelling and a flipped byte cannot hide in another.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace daystream {

template <typename Integer>
std::optional<Integer> parse_number(std::string_view text) noexcept {
  Integer value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  if (text[0] == '-' && (value == 0 || text[1] == '0')) return std::nullopt;
  return value;
}

// Exactly eight lower-case hexadecimal digits: a CRC.
std::optional<std::uint32_t> parse_crc(std::string_view text) noexcept;

}  // namespace daystream
