#include "server/one_line.h"

#include <algorithm>

namespace deltastream {

std::string one_line(std::string text) {
  for (std::size_t at = 0; (at = text.find_first_of("\n\t", at)) != std::string::npos;) {
    const std::size_t end = std::min(text.find_first_not_of("\n\t", at), text.size());
    text.replace(at, end - at, end == text.size() ? "" : "; ");
  }
  return text;
}

}  // namespace deltastream
