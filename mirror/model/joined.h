// Lists as text, for SQL and for people.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace deltamirror {

// What `text_of` makes of each of `things`, with `between` in between: `a, b, c`.
template <typename Things, typename TextOf>
std::string joined(const Things& things, std::string_view between, const TextOf& text_of) {
  std::string out;
  for (bool first = true; const auto& thing : things) {
    if (!first) out += between;
    out += std::invoke(text_of, thing);
    first = false;
  }
  return out;
}

}  // namespace deltamirror
