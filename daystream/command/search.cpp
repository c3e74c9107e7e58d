#include "search.h"

#include <string.h>

#include <cstdint>
#include <utility>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace daystream::command {

namespace {

// How frequent a byte is in lines, roughly.
int frequency(char c) {
  if (c == '\t') return 4;
  if (c >= '0' && c <= '9') return 3;
  if (c == '_' || c == 'a' || c == 'e' || c == 'i' || c == 't') return 2;
  return c >= 'a' && c <= 'z' ? 1 : 0;
}

}  // namespace

Needle::Needle(std::string bytes) : bytes_(std::move(bytes)) {
  for (std::size_t i = 1; i < bytes_.size(); ++i) {
    if (frequency(bytes_[i]) < frequency(bytes_[rare_])) rare_ = i;
  }
  other_ = rare_ == 0 ? bytes_.size() - 1 : 0;
  for (std::size_t i = 0; i < bytes_.size(); ++i) {
    if (i != rare_ && frequency(bytes_[i]) < frequency(bytes_[other_])) other_ = i;
  }
}

// Sixteen places at once are asked for two bytes of the needle; where both are, for all of them.
// (memmem takes four times as long for needles of this size.)
std::size_t Needle::find_in(std::string_view text) const noexcept {
  const std::size_t size = bytes_.size();
  std::size_t at = 0;
#ifdef __SSE2__
  const __m128i rare = _mm_set1_epi8(bytes_[rare_]);
  const __m128i other = _mm_set1_epi8(bytes_[other_]);
  const auto load = [&](std::size_t index) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + index));
  };
  for (; at + 16 + size <= text.size(); at += 16) {
    const __m128i both = _mm_and_si128(_mm_cmpeq_epi8(load(at + rare_), rare),
                                       _mm_cmpeq_epi8(load(at + other_), other));
    for (auto mask = static_cast<std::uint32_t>(_mm_movemask_epi8(both)); mask != 0;
         mask &= mask - 1) {
      const std::size_t place = at + static_cast<std::size_t>(__builtin_ctz(mask));
      if (memcmp(text.data() + place, bytes_.data(), size) == 0) return place;
    }
  }
#endif
  return text.find(bytes_, at);
}

std::size_t pair_at(std::string_view lines, std::size_t found) noexcept {
  if (found == std::string_view::npos || found == 0) return found;
  const auto end = lines.rfind('\n', found - 1);  // of the line before
  if (end == std::string_view::npos) return found;
  const auto before = end == 0 ? std::string_view::npos : lines.rfind('\n', end - 1);
  const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
  const std::string_view line = lines.substr(begin, end - begin);
  return line.find("\t_action\treplace\t") == std::string_view::npos ? found : begin;
}

bool contains(std::string_view text, std::string_view needle) noexcept {
  return memmem(text.data(), text.size(), needle.data(), needle.size()) != nullptr;
}

}  // namespace daystream::command
