// A number with the word for what it counts.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace daystream::program {

// "1 table", "2 tables", "0 rows". `thing`: in the singular, and such that an s makes it more.
template <typename Number>
std::string counted(Number number, std::string_view thing) {
  return fmt::format("{} {}{}", number, thing, number == 1 ? "" : "s");
}

}  // namespace daystream::program
