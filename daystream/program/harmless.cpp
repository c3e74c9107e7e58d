#include "program/harmless.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace daystream::program {

namespace {

unsigned char byte_at(std::string_view text, std::size_t at) {
  return at < text.size() ? static_cast<unsigned char>(text[at]) : 0;
}

// How many bytes the character at the beginning of `text` has, which is of more than one; 0: it is
// none, or one that is not to be obeyed.
std::size_t good_character(std::string_view text) {
  const unsigned char first = byte_at(text, 0);
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return 0;
  std::uint32_t point = first & (0xFFU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    const unsigned char next = byte_at(text, i);
    if ((next & 0xC0) != 0x80) return 0;
    point = point << 6 | (next & 0x3FU);
  }
  const bool too_long = (size == 3 && point < 0x800) || (size == 4 && point < 0x10000);
  const bool no_character = (point >= 0xD800 && point <= 0xDFFF) || point > 0x10FFFF;
  const bool steers = point < 0xA0 || point == 0x061C || point == 0x200E || point == 0x200F ||
                      (point >= 0x2028 && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
  return too_long || no_character || steers ? 0 : size;
}

// The size of `ESC [ 1 ; 3 2 m` at the beginning of `text`; 0: it is something else.
std::size_t colour_code(std::string_view text) {
  if (!text.starts_with("\x1b[")) return 0;
  const auto end = text.find_first_not_of("0123456789;", 2);
  return end != std::string_view::npos && text[end] == 'm' ? end + 1 : 0;
}

}  // namespace

void append_harmless(std::string& out, std::string_view text, Keep keep) {
  while (!text.empty()) {
    const unsigned char byte = byte_at(text, 0);
    std::size_t good = 0;
    if (byte >= 0x80) {
      good = good_character(text);
    } else if ((byte >= 0x20 && byte != 0x7F) ||
               (keep != Keep::Nothing && (byte == '\n' || byte == '\t'))) {
      good = 1;
    } else if (keep == Keep::Colours) {
      good = colour_code(text);
    }
    if (good > 0) {
      out += text.substr(0, good);
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
    }
    text.remove_prefix(std::max<std::size_t>(good, 1));
  }
}

std::string harmless(std::string_view text, Keep keep) {
  std::string out;
  append_harmless(out, text, keep);
  return out;
}

std::size_t cut_character_bytes(std::string_view text) noexcept {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if (byte < 0x80) return 0;
    if (byte < 0xC0) continue;
    const std::size_t size = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
    return size > back ? back : 0;
  }
  return 0;
}

std::string_view beginning_of(std::string_view text, std::size_t most) noexcept {
  if (text.size() <= most) return text;
  text = text.substr(0, most);
  return text.substr(0, text.size() - cut_character_bytes(text));
}

std::string harmless_words(std::string_view text, std::size_t most) {
  std::string out = harmless(beginning_of(text, most));
  if (text.size() > most) out += "…";
  return out;
}

}  // namespace daystream::program
