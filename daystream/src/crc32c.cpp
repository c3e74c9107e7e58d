#include "crc32c.h"

#include <fmt/format.h>
#include <isa-l/crc.h>

#include <algorithm>

#include "number.h"

namespace daystream {

std::uint32_t extend_crc(std::uint32_t crc, std::string_view bytes) noexcept {
  constexpr std::size_t kMost = 1U << 30;  // the library counts in int
  std::uint32_t raw = ~crc;
  while (!bytes.empty()) {
    const auto size = std::min(bytes.size(), kMost);
    // The library only reads, but its C signature does not say so.
    auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
    raw = crc32_iscsi(data, static_cast<int>(size), raw);
    bytes.remove_prefix(size);
  }
  return ~raw;
}

std::string crc_text(std::uint32_t crc) {
  return fmt::format("{:08x}", crc);
}

std::optional<std::uint32_t> parse_crc(std::string_view text) noexcept {
  if (text.size() != 8) return std::nullopt;
  std::uint32_t value = 0;
  for (const char c : text) {
    if (c >= '0' && c <= '9') {
      value = value << 4 | static_cast<std::uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value = value << 4 | static_cast<std::uint32_t>(c - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  return value;
}

}  // namespace daystream
