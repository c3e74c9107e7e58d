#include "copy_text.h"

#include <cstring>

#include "daystream/error.h"

namespace deltamirror {

namespace {

char unescaped(char c) {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'v':
      return '\v';
    case '\\':
      return '\\';
    default:
      throw daystream::ProtocolError("a row of COPY has an escape that PostgreSQL does not write");
  }
}

}  // namespace

void split_copy_row(char* row, std::size_t size, std::vector<CopyField>& fields) {
  fields.clear();
  if (size > 0 && row[size - 1] == '\n') --size;
  char* const end = row + size;
  char* field = row;
  for (;;) {
    auto* const tab =
        static_cast<char*>(std::memchr(field, '\t', static_cast<std::size_t>(end - field)));
    char* const stop = tab == nullptr ? end : tab;
    const auto length = static_cast<std::size_t>(stop - field);
    if (length == 2 && field[0] == '\\' && field[1] == 'N') {
      fields.push_back({.null = true, .text = {}});
    } else {
      auto* escape = static_cast<char*>(std::memchr(field, '\\', length));
      char* out = escape == nullptr ? stop : escape;
      for (char* in = out; in != stop; ++in) {
        if (*in != '\\') {
          *out++ = *in;
        } else {
          if (++in == stop) throw daystream::ProtocolError("a row of COPY ends in an escape");
          *out++ = unescaped(*in);
        }
      }
      fields.push_back({.null = false, .text = {field, static_cast<std::size_t>(out - field)}});
    }
    if (tab == nullptr) break;
    field = tab + 1;
  }
}

}  // namespace deltamirror
