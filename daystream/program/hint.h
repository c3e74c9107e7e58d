// What to do about what went wrong, behind it in one line.
#pragma once

#include <string>

namespace daystream::program {

// "could not open …; HINT: make it readable"; the text alone where there is no hint.
inline std::string with_hint(std::string text, const std::string& hint) {
  if (!hint.empty()) text += "; HINT: " + hint;
  return text;
}

// Both in one: first `hint`, which may be empty or end as SQL does, and then `more`.
inline std::string hint_then(std::string hint, const std::string& more) {
  if (hint.empty()) return more;
  return hint + (hint.ends_with(';') ? " " : "; ") + more;
}

}  // namespace daystream::program
