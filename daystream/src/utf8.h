// UTF-8 as RFC 3629 has it: shortest forms, no surrogates, up to U+10FFFF.
#pragma once

#include <cstddef>
#include <string_view>

namespace daystream {

// The length of the character that `text` begins with; 0 where its first byte begins none.
std::size_t utf8_length(std::string_view text) noexcept;

}  // namespace daystream
