#include "daystream/lsn.h"

#include <fmt/format.h>

#include <charconv>

namespace daystream {

namespace {

// 1 to 8 hexadecimal digits, as PostgreSQL reads either half.
std::optional<std::uint32_t> parse_half(std::string_view text) noexcept {
  std::uint32_t value = 0;
  if (text.empty() || text.size() > 8) return std::nullopt;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, 16);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

}  // namespace

std::string Lsn::text() const {
  return fmt::format("{:X}/{:X}", value >> 32, value & 0xFFFFFFFFU);
}

std::optional<Lsn> Lsn::parse(std::string_view text) noexcept {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto high = parse_half(text.substr(0, slash));
  const auto low = parse_half(text.substr(slash + 1));
  if (!high || !low) return std::nullopt;
  return Lsn{(std::uint64_t{*high} << 32) | *low};
}

}  // namespace daystream
