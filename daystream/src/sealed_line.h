// A line of fixed length that shows by itself whether it is whole: pairs, a `_crc` over them,
// spaces. `durable` is one, and so is each entry of a compressed day's index (FORMAT.md).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "daystream/line.h"
#include "number.h"

namespace daystream {

inline constexpr std::size_t kSealedLineSize = 160;  // with its LF; less than a sector

// `pairs`: key TAB value, TABs between. At most 145 bytes.
std::string seal_line(std::string pairs);
// The pairs of a sealed line; nullopt: it is half written, damaged or none.
std::optional<std::string_view> unseal_line(std::string_view line) noexcept;

// Takes known pairs from the left.
class SealedFields {
 public:
  explicit SealedFields(std::string_view pairs) : cursor_(pairs) {}

  // The value of the next pair if it has that key, as `parse` reads it.
  template <typename Value, typename Parse>
  bool take(std::string_view wanted, Value& to, const Parse& parse) {
    std::string_view key;
    std::string_view value;
    if (!cursor_.next(key, value) || key != wanted) return false;
    const auto parsed = parse(value);
    if (parsed) to = *parsed;
    return parsed.has_value();
  }
  template <typename Integer>
  bool take_number(std::string_view wanted, Integer& to) {
    return take(wanted, to, parse_number<Integer>);
  }

 private:
  FieldCursor cursor_;
};

}  // namespace daystream
