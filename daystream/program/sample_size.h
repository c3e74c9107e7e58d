// How much of each table is compared, as people write it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace daystream::program {

// How many rows of each table to compare; neither: all.
struct SampleSize {
  double percent = 0;
  std::uint64_t rows = 0;  // about
};
// `1%`, `0.1%`, `1000`; nullopt: no such size.
std::optional<SampleSize> parse_sample_size(std::string_view text);
inline constexpr const char* kSampleSizeLike = "write it like 1% or 1000, no more than 100%";

}  // namespace daystream::program
