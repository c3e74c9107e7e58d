// The `tables` option, read as the plugin reads it (plugin/README.md#options).
#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>

#include "daystream/error.h"
#include "daystream/manifest.h"

namespace daystream {

namespace {

// One part of a name: its characters, of which those marked may be any run (an unquoted `*`).
struct Part {
  std::string text;
  std::string wild;  // as long as `text`: '*' where the character is one, else ' '

  void add(char c, bool is_wild) {
    text += c;
    wild += is_wild ? '*' : ' ';
  }
};

struct Name {
  Part schema;
  Part table;
};

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// Reads `text` from `at`: an identifier, quoted or not. Unquoted letters fold to lower case, as in
// SQL; only ASCII ones, as the server does for UTF-8.
Part read_part(std::string_view text, std::size_t& at) {
  Part part;
  if (at < text.size() && text[at] == '"') {
    for (++at; at < text.size(); ++at) {
      if (text[at] == '"') {
        if (at + 1 >= text.size() || text[at + 1] != '"') break;
        ++at;
      }
      part.add(text[at], false);
    }
    if (at >= text.size()) {
      throw ConfigError(fmt::format("table list \"{}\" has a quote that is not closed", text));
    }
    ++at;
    return part;
  }
  while (at < text.size() && text[at] != '.' && text[at] != ',' && text[at] != '"' &&
         !is_space(text[at])) {
    const char c = text[at++];
    part.add(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c, c == '*');
  }
  return part;
}

Name read_name(std::string_view text, std::size_t& at) {
  Name name;
  name.table = read_part(text, at);
  if (at < text.size() && text[at] == '.') {
    ++at;
    name.schema = std::move(name.table);
    name.table = read_part(text, at);
  } else {
    for (const char c : std::string_view("public")) name.schema.add(c, false);
  }
  return name;
}

bool matches(const Part& pattern, std::string_view text) {
  // Greedy with one step back: enough for `*`, linear in practice.
  std::size_t p = 0;
  std::size_t t = 0;
  std::optional<std::size_t> star;
  std::size_t star_t = 0;
  while (t < text.size()) {
    if (p < pattern.text.size() && pattern.wild[p] == '*') {
      star = p++;
      star_t = t;
    } else if (p < pattern.text.size() && pattern.text[p] == text[t]) {
      ++p;
      ++t;
    } else if (star) {
      p = *star + 1;
      t = ++star_t;
    } else {
      return false;
    }
  }
  while (p < pattern.text.size() && pattern.wild[p] == '*') ++p;
  return p == pattern.text.size();
}

}  // namespace

bool table_list_matches(std::string_view pattern, std::string_view table) {
  std::size_t table_at = 0;
  const Name wanted = read_name(table, table_at);
  std::size_t at = 0;
  const auto skip_spaces = [&] {
    while (at < pattern.size() && is_space(pattern[at])) ++at;
  };
  bool found = false;
  for (;;) {
    skip_spaces();
    const Name name = read_name(pattern, at);
    skip_spaces();
    if (name.table.text.empty() || name.schema.text.empty() ||
        (at < pattern.size() && pattern[at] != ',')) {
      throw ConfigError(fmt::format("invalid table list \"{}\"", pattern),
                        "give table names separated by commas: flights, ops.crew, ops.*");
    }
    found = found ||
            (matches(name.schema, wanted.schema.text) && matches(name.table, wanted.table.text));
    if (at == pattern.size()) return found;
    ++at;
  }
}

}  // namespace daystream
