// Names and literals as SQL has them, in PostgreSQL and in SQLite: a quote inside is written twice.
#pragma once

#include <string>
#include <string_view>

namespace daystream::program {

inline void append_quoted(std::string& out, std::string_view text, char quote) {
  out += quote;
  for (const char c : text) {
    if (c == quote) out += c;
    out += c;
  }
  out += quote;
}

inline std::string quoted(std::string_view text, char quote) {
  std::string out;
  append_quoted(out, text, quote);
  return out;
}

// A name as somebody has written it, for a message: in quotes, which one may have already.
inline std::string in_quotes(std::string_view name) {
  if (name.find('"') != std::string_view::npos) return std::string(name);
  return '"' + std::string(name) + '"';
}

}  // namespace daystream::program
