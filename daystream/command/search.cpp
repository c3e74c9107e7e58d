#include "search.h"

#include <string.h>

#include <algorithm>
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

// Whether one of the verbs that concern a whole table stands in `text` after the `n` and the tab
// at `at`, with which `_action` ends.
bool is_table_verb(std::string_view text, std::size_t at) noexcept {
  const std::string_view rest = text.substr(at);
  return rest.starts_with("n\tschema\t") || rest.starts_with("n\ttruncate") ||
         rest.starts_with("n\trewrite") || rest.starts_with("n\tdrop");
}

std::size_t find_table_verb(std::string_view text) noexcept {
  for (std::size_t at = 0; (at = text.find("n\t", at)) != std::string_view::npos; ++at) {
    if (is_table_verb(text, at)) return at;
  }
  return std::string_view::npos;
}

}  // namespace

Needle::Needle(std::string bytes) : bytes_(std::move(bytes)) {
  // The last of those that are equally rare: numbers differ at their ends.
  const auto rarest_but = [this](std::size_t one, std::size_t two) {
    std::size_t best = bytes_.size() - 1;
    int least = INT32_MAX;
    for (std::size_t i = 0; i < bytes_.size(); ++i) {
      if (i == one || i == two || frequency(bytes_[i]) > least) continue;
      best = i;
      least = frequency(bytes_[i]);
    }
    return best;
  };
  rare_[0] = rarest_but(SIZE_MAX, SIZE_MAX);
  rare_[1] = rarest_but(rare_[0], SIZE_MAX);
  rare_[2] = rarest_but(rare_[0], rare_[1]);
}

#ifdef __SSE2__
namespace {

constexpr std::size_t kBlock = 16;     // places that are looked at together
constexpr std::size_t kVerbReach = 5;  // of "n\tsch": what verbs_of() looks at

using Block = __m128i;

Block load(const char* text) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const Block*>(text));
}

// Bit mask of the places in a block where `_action` and its tab may end and a verb of a table may
// follow. Such a verb has a letter that no other verb has at that place: s[c]hema, t[r]uncate,
// d[r]op, re[w]rite.
std::uint32_t verbs_of(const char* text) noexcept {
  const Block ends = _mm_and_si128(_mm_cmpeq_epi8(load(text), _mm_set1_epi8('n')),
                                   _mm_cmpeq_epi8(load(text + 1), _mm_set1_epi8('\t')));
  std::uint32_t verbs = 0;
  for (auto mask = static_cast<std::uint32_t>(_mm_movemask_epi8(ends)); mask != 0;
       mask &= mask - 1) {
    const char* const end = text + __builtin_ctz(mask);
    if (end[3] == 'c' || end[3] == 'r' || end[4] == 'w') verbs |= mask & -mask;
  }
  return verbs;
}

}  // namespace

// Bit mask of candidates in the first block at or after `at` that has any; `at` moves there in
// steps of one block. 0: no block up to and with `last` has one. (The function stands apart and
// makes no calls, so that everything stays in registers.)
template <bool kTableVerbs>
std::uint32_t Needle::next_block(const char* text, std::size_t& at,
                                 std::size_t last) const noexcept {
  const Block first = _mm_set1_epi8(bytes_[rare_[0]]);
  const Block second = _mm_set1_epi8(bytes_[rare_[1]]);
  const Block third = _mm_set1_epi8(bytes_[rare_[2]]);
  const char* const end = text + last;
  for (const char* place = text + at;; place += kBlock) {
    place = std::min(place, end);
    Block found = _mm_and_si128(_mm_cmpeq_epi8(load(place + rare_[0]), first),
                                _mm_cmpeq_epi8(load(place + rare_[1]), second));
    found = _mm_and_si128(found, _mm_cmpeq_epi8(load(place + rare_[2]), third));
    auto mask = static_cast<std::uint32_t>(_mm_movemask_epi8(found));
    if constexpr (kTableVerbs) mask |= verbs_of(place);
    if (mask != 0 || place == end) {
      at = static_cast<std::size_t>(place - text);
      return mask;
    }
  }
}
#endif

// Compares three bytes of the needle at sixteen places at once; where all three fit, it compares
// the whole needle. (memmem takes four times as long for needles of this size.) The last sixteen
// places overlap those before.
template <bool kTableVerbs>
std::size_t Needle::find(std::string_view text) const noexcept {
  const auto in_few = [this](std::string_view few) {
    const std::size_t found = few.find(bytes_);
    return kTableVerbs ? std::min(found, find_table_verb(few)) : found;
  };
#ifdef __SSE2__
  const std::size_t size = bytes_.size();
  const std::size_t reach = (kTableVerbs ? std::max(size, kVerbReach) : size) + kBlock - 1;
  if (text.size() >= reach) {
    const std::size_t last = text.size() - reach;
    for (std::size_t at = 0;; at += kBlock) {
      for (auto mask = next_block<kTableVerbs>(text.data(), at, last); mask != 0;
           mask &= mask - 1) {
        const std::size_t place = at + static_cast<std::size_t>(__builtin_ctz(mask));
        if (text.substr(place).starts_with(bytes_)) return place;
        if (kTableVerbs && is_table_verb(text, place)) return place;
      }
      if (at == last) break;
    }
    if (!kTableVerbs) return std::string_view::npos;
    // The rest is too short for the longer of the needle and a verb, but may hold the shorter one.
    const std::size_t behind = last + kBlock;
    const std::size_t rest = in_few(text.substr(behind));
    return rest == std::string_view::npos ? rest : behind + rest;
  }
#endif
  return in_few(text);
}

std::size_t Needle::find_in(std::string_view text) const noexcept {
  return find<false>(text);
}

std::size_t Needle::find_with_table_verbs(std::string_view text) const noexcept {
  return find<true>(text);
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

std::size_t find_shape(std::string_view lines) noexcept {
  static const Needle kShape("n\tschema");  // the end of `_action`, and the verb
  return kShape.find_in(lines);
}

bool contains(std::string_view text, std::string_view needle) noexcept {
  return memmem(text.data(), text.size(), needle.data(), needle.size()) != nullptr;
}

}  // namespace daystream::command
