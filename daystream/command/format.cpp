#include "format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "daystream/line.h"
#include "grammar/escape.h"

namespace daystream::command {

namespace {

void json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const char c = text.front();
    const auto byte = static_cast<unsigned char>(c);
    const std::size_t length = grammar::utf8_length(text);
    if (length == 0) {
      fmt::format_to(std::back_inserter(out), "\\udc{:02x}", byte);
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  out += '"';
}

bool is_number_key(std::string_view key) {
  static constexpr std::array<std::string_view, 6> kKeys = {"_xid",      "_next", "_time",
                                                            "_timeline", "_oid",  "_root"};
  return std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end();
}

}  // namespace

void json_raw(std::string& out, std::string_view raw) {
  if (raw == kNull) {
    out += "null";
  } else if (raw.find('\\') == std::string_view::npos) {
    json_string(out, raw);
  } else {
    json_string(out, unescape(raw));
  }
}

void format_json(std::string& out, const Line& line) {
  const Change change = parse_change(line.body);
  fmt::format_to(std::back_inserter(out), "{{\"_c\":{},\"_s\":{}", line.position.c,
                 line.position.s);
  std::string_view key;
  std::string_view value;
  for (FieldCursor cursor(change.leading_fields); cursor.next(key, value);) {
    out += ',';
    json_string(out, key);
    out += ':';
    if (is_number_key(key)) {
      out.append(value);
    } else {
      json_raw(out, value);
    }
  }
  out += ",\"_action\":\"";
  out += action_name(change.action);
  out += '"';
  if (!change.columns.empty()) {
    out += ",\"columns\":{";
    bool first = true;
    for (FieldCursor columns(change.columns); columns.next(key, value); first = false) {
      if (!first) out += ',';
      json_raw(out, key);
      out += ':';
      json_raw(out, value);
    }
    out += '}';
  }
  out += "}\n";
}

void format_line(std::string& out, Format format, const Line& line) {
  if (format == Format::Json) {
    format_json(out, line);
  } else {
    out.append(line.whole).push_back('\n');
  }
}

}  // namespace daystream::command
