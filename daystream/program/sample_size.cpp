#include "program/sample_size.h"

#include <charconv>

namespace daystream::program {

std::optional<SampleSize> parse_sample_size(std::string_view text) {
  SampleSize size;
  const bool percent = text.ends_with('%');
  if (percent) text.remove_suffix(1);
  const char* const end = text.data() + text.size();
  const auto read = percent ? std::from_chars(text.data(), end, size.percent)
                            : std::from_chars(text.data(), end, size.rows);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  if (percent && !(size.percent > 0 && size.percent <= 100)) return std::nullopt;
  if (!percent && size.rows == 0) return std::nullopt;
  return size;
}

}  // namespace daystream::program
