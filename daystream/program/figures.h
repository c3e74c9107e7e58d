// Figures for people.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace daystream::program {

std::string bytes_text(double bytes);      // 12 B, 3.4 kB, 1.2 GB
std::string seconds_text(double seconds);  // 17 s, 3 min, 5 h, 2 d

// "1 table", "2 tables", "0 rows". `thing`: in the singular, and such that an s makes it more.
template <typename Number>
std::string counted(Number number, std::string_view thing) {
  return fmt::format("{} {}{}", number, thing, number == 1 ? "" : "s");
}

// Where there are more of a kind than this, those that are as they should be are counted, and named
// only with --all.
inline constexpr std::size_t kMostNamed = 50;

}  // namespace daystream::program
