#include "values/array_json.h"

#include <fmt/format.h>

namespace deltamirror {

namespace {

[[noreturn]] void bad_array() {
  throw daystream::ProtocolError("a value is not an array as PostgreSQL writes it");
}

void append_element(std::string& out, std::string_view element, const ColumnType& type) {
  switch (type.kind) {
    case Kind::Bool:
      out += element == "t" || element == "1" ? "true" : "false";
      return;
    case Kind::Integer:
    case Kind::Real:
    case Kind::Whole:
      if (element == "NaN" || element.ends_with("Infinity")) break;  // JSON has no such numbers
      out += element;
      return;
    case Kind::TimestampTz:
      if (element.ends_with("+00")) element.remove_suffix(3);
      break;
    case Kind::Text:
    case Kind::Decimal:
    case Kind::Blob:
      break;
  }
  append_json_string(out, element);
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\b') {
      out += "\\b";
    } else if (c == '\f') {
      out += "\\f";
    } else if (byte < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  out += '"';
}

// PostgreSQL quotes an element that is empty, spells NULL or holds a special character, so an
// unquoted NULL is null, and brackets and delimiters outside quotes are the array's own.
void array_to_json(std::string& out, std::string_view text, const ColumnType& type) {
  std::string unquoted;
  std::size_t depth = 0;
  std::size_t i = 0;
  while (i < text.size()) {
    const char c = text[i];
    if (c == '{') {
      out += '[';
      ++depth;
      ++i;
    } else if (c == '}') {
      if (depth == 0) bad_array();
      out += ']';
      --depth;
      ++i;
      if (depth == 0 && i != text.size()) bad_array();
    } else if (c == type.delimiter) {
      out += ',';
      ++i;
    } else if (c == '"') {
      unquoted.clear();
      for (++i; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\\' && ++i == text.size()) bad_array();
        unquoted += text[i];
      }
      if (i == text.size()) bad_array();
      ++i;
      append_element(out, unquoted, type);
    } else {
      const std::size_t start = i;
      while (i < text.size() && text[i] != type.delimiter && text[i] != '}') ++i;
      const std::string_view element = text.substr(start, i - start);
      if (element == "NULL") {
        out += "null";
      } else {
        append_element(out, element, type);
      }
    }
  }
  if (depth != 0) bad_array();
}

}  // namespace deltamirror
