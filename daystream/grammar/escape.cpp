#include "grammar/escape.h"

#include <bit>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace grammar {

namespace {

constexpr char kHex[] = "0123456789abcdef";

using Word = std::uint64_t;
constexpr Word kOnes = 0x0101010101010101U;
constexpr Word kHighs = 0x8080808080808080U;

// Non-zero if some byte of `word` is zero. Bytes above the first zero may be marked wrongly, which
// does not matter here: the byte loop decides.
constexpr Word has_zero(Word word) noexcept {
  return (word - kOnes) & ~word & kHighs;
}
constexpr Word has_byte(Word word, unsigned char byte) noexcept {
  return has_zero(word ^ (kOnes * byte));
}

// True if none of the eight bytes needs the byte loop.
inline bool plain_word(Word word) noexcept {
  return ((word & kHighs) | has_byte(word, '\t') | has_byte(word, '\n') | has_byte(word, '\r') |
          has_byte(word, '\\')) == 0;
}

#ifdef __SSE2__
// A bit for each of the sixteen bytes that needs the byte loop.
inline unsigned special_bytes(__m128i bytes) noexcept {
  const __m128i tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
  const __m128i newline = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\n'));
  const __m128i carriage_return = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\r'));
  const __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
  const __m128i escapes =
      _mm_or_si128(_mm_or_si128(tab, newline), _mm_or_si128(carriage_return, backslash));
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(escapes, bytes)));
}
#endif

// What follows the backslash, or 0 for a byte that stands for itself.
constexpr char escape_of(char c) noexcept {
  switch (c) {
    case '\t':
      return 't';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\\':
      return '\\';
    default:
      return 0;
  }
}

constexpr unsigned char byte_at(std::string_view text, std::size_t i) noexcept {
  return static_cast<unsigned char>(text[i]);
}

constexpr bool continues(unsigned char byte) noexcept {
  return (byte & 0xC0U) == 0x80U;
}

}  // namespace

std::size_t utf8_length(std::string_view text) noexcept {
  if (text.empty()) return 0;
  const unsigned char lead = byte_at(text, 0);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const std::size_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (text.size() < size) return 0;
  // The second byte alone excludes overlong forms, surrogates and what is above U+10FFFF.
  const unsigned char second = byte_at(text, 1);
  const unsigned char lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (second < lowest || second > highest) return 0;
  for (std::size_t i = 2; i < size; ++i) {
    if (!continues(byte_at(text, i))) return 0;
  }
  return size;
}

std::size_t escape_into(char* out, std::string_view text) noexcept {
  const char* in = text.data();
  const char* const end = in + text.size();
  char* const begin = out;
  while (in < end) {
#ifdef __SSE2__
    // Stored whole before it is known to be plain: what is special gets written over.
    while (end - in >= 16) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
      const unsigned special = special_bytes(bytes);
      const int plain = special == 0 ? 16 : std::countr_zero(special);
      in += plain;
      out += plain;
      if (special != 0) break;
    }
#endif
    while (end - in >= 8) {
      Word word = 0;
      std::memcpy(&word, in, sizeof word);
      if (!plain_word(word)) break;
      std::memcpy(out, &word, sizeof word);
      in += 8;
      out += 8;
    }
    // One special byte, or the tail; then back to whole words.
    for (bool special = false; in < end && !special;) {
      const char c = *in;
      if (static_cast<unsigned char>(c) >= 0x80) {
        const std::size_t size =
            utf8_length(std::string_view(in, static_cast<std::size_t>(end - in)));
        if (size == 0) {
          const unsigned byte = static_cast<unsigned char>(c);
          *out++ = '\\';
          *out++ = 'x';
          *out++ = kHex[byte >> 4U];
          *out++ = kHex[byte & 15U];
          ++in;
        } else {
          for (std::size_t i = 0; i < size; ++i) *out++ = *in++;
        }
        // Text in another script has few plain words: stay here until ASCII comes back.
        special = in < end && static_cast<unsigned char>(*in) < 0x80;
      } else if (const char escape = escape_of(c); escape != 0) {
        *out++ = '\\';
        *out++ = escape;
        ++in;
        special = true;
      } else {
        *out++ = c;
        ++in;
      }
    }
  }
  return static_cast<std::size_t>(out - begin);
}

std::size_t escaped_size(std::string_view text) noexcept {
  const char* in = text.data();
  const char* const end = in + text.size();
  std::size_t size = text.size();
  while (in < end) {
    while (end - in >= 8) {
      Word word = 0;
      std::memcpy(&word, in, sizeof word);
      if (!plain_word(word)) break;
      in += 8;
    }
    if (in == end) break;
    if (static_cast<unsigned char>(*in) >= 0x80) {
      const std::size_t valid =
          utf8_length(std::string_view(in, static_cast<std::size_t>(end - in)));
      if (valid == 0) {
        size += 3;
        ++in;
      } else {
        in += valid;
      }
    } else {
      if (escape_of(*in) != 0) ++size;
      ++in;
    }
  }
  return size;
}

}  // namespace grammar
