// What to do about what went wrong, behind it in one line.
#pragma once

#include <string>

namespace daystream::program {

// "could not open …; HINT: make it readable"; the text alone where there is no hint.
inline std::string with_hint(std::string text, const std::string& hint) {
  if (!hint.empty()) text += "; HINT: " + hint;
  return text;
}

}  // namespace daystream::program
