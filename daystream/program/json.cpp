#include "program/json.h"

#include <algorithm>

namespace daystream::program {

namespace {

// Behind the comment that begins at `at`; npos: none does, or it does not end.
std::size_t end_of_comment(const std::string& text, std::size_t at) {
  if (text.compare(at, 2, "//") == 0) return std::min(text.find('\n', at), text.size());
  if (text.compare(at, 2, "/*") != 0) return std::string::npos;
  const std::size_t end = text.find("*/", at + 2);
  return end == std::string::npos ? end : end + 2;
}

}  // namespace

std::string without_comments(std::string text) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (const std::size_t end = quoted ? std::string::npos : end_of_comment(text, i);
               end != std::string::npos) {
      for (; i < end; ++i) {
        if (text[i] != '\n') text[i] = ' ';
      }
      --i;
    }
  }
  return text;
}

}  // namespace daystream::program
