// The inner loop of the Writer: compares the beginning of a line, copies the line and finds its
// end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace daystream {

// A copy may write so many bytes behind its end.
inline constexpr std::size_t kCopySlack = 32;

// Whether `head.size()` bytes from `text` are `head`. Compares eight bytes at a time, the last ones
// twice; `head` has at least eight.
inline bool begins_with(const char* text, std::string_view head) noexcept {
  std::uint64_t differs = 0;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  const std::size_t last = head.size() - sizeof a;
  for (std::size_t at = 0; at < last; at += sizeof a) {
    std::memcpy(&a, text + at, sizeof a);
    std::memcpy(&b, head.data() + at, sizeof b);
    differs |= a ^ b;
  }
  std::memcpy(&a, text + last, sizeof a);
  std::memcpy(&b, head.data() + last, sizeof b);
  return (differs | (a ^ b)) == 0;
}

// Copies the line that begins at `line`, with its newline, to `out`, and returns its size. 0: there
// is no newline before `end`; then the bytes at `out` mean nothing. `out` must have room for
// everything up to `end`, and the slack.
inline std::size_t copy_line(char* out, const char* line, const char* end) noexcept {
  const char* at = line;
#ifdef __SSE2__
  const __m128i newline = _mm_set1_epi8('\n');
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + (at - line)), bytes);
    const int found = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, newline));
    if (found != 0) {
      return static_cast<std::size_t>(at - line + __builtin_ctz(static_cast<unsigned>(found)) + 1);
    }
  }
#endif
  const void* found = std::memchr(at, '\n', static_cast<std::size_t>(end - at));
  if (found == nullptr) return 0;
  const auto size = static_cast<std::size_t>(static_cast<const char*>(found) - line + 1);
  const auto done = static_cast<std::size_t>(at - line);
  std::memcpy(out + done, at, size - done);
  return size;
}

}  // namespace daystream
