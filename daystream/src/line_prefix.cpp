#include "line_prefix.h"

#include <fmt/format.h>

#include <charconv>

#include "number.h"

namespace daystream {

void LinePrefix::set(Position position) noexcept {
  char* at = text_;
  const auto put = [&](std::string_view part) {
    std::memcpy(at, part.data(), part.size());
    at += part.size();
  };
  put("_c\t");
  at = std::to_chars(at, text_ + sizeof text_, position.c).ptr;
  put("\t_s\t");
  at = std::to_chars(at, text_ + sizeof text_, position.s).ptr;
  put("\t");
  size_ = static_cast<std::size_t>(at - text_);
  unit_ = text_[size_ - 2];
}

// The last digit of the number is a nine.
void LinePrefix::carry() noexcept {
  unit_ = '0';
  std::size_t digit = size_ - 3;
  while (text_[digit] == '9') text_[digit--] = '0';
  if (text_[digit] != '\t') {
    ++text_[digit];
    return;
  }
  // All digits were nines, so the number gets one more.
  text_[size_ - 2] = '0';
  text_[digit + 1] = '1';
  text_[size_ - 1] = '0';
  text_[size_++] = '\t';
}

std::optional<ParsedPrefix> parse_prefix(std::string_view line) noexcept {
  if (!line.starts_with("_c\t")) return std::nullopt;
  const auto c_end = line.find('\t', 3);
  if (c_end == std::string_view::npos) return std::nullopt;
  const auto c = parse_number<std::int64_t>(line.substr(3, c_end - 3));
  if (!c || *c < 0 || !line.substr(c_end).starts_with("\t_s\t")) return std::nullopt;
  const auto s_begin = c_end + 4;
  const auto s_end = line.find('\t', s_begin);
  if (s_end == std::string_view::npos) return std::nullopt;
  const auto s = parse_number<std::uint64_t>(line.substr(s_begin, s_end - s_begin));
  if (!s) return std::nullopt;
  return ParsedPrefix{{*c, *s}, s_end + 1};
}

std::string quoted_start(std::string_view line) {
  constexpr std::size_t kMost = 40;
  std::string text;
  for (const char c : line.substr(0, kMost)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\t') {
      text += ' ';
    } else if (byte < 0x20 || byte >= 0x7F) {
      text += fmt::format("\\x{:02x}", byte);
    } else {
      text += c;
    }
  }
  return text + (line.size() > kMost ? "…" : "");
}

}  // namespace daystream
