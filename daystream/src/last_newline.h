// The end of the line before.
#pragma once

#include <cstring>
#include <string_view>

namespace daystream {

// Where the last newline of `text` is, or npos: as rfind(), which looks at each byte by itself,
// while memrchr() looks at many. Lines may be long, and searches from the back go through whole
// transactions.
inline std::size_t last_newline(std::string_view text) noexcept {
  const void* const found = text.empty() ? nullptr : memrchr(text.data(), '\n', text.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

}  // namespace daystream
