#include "apply/asked_tables.h"

#include <algorithm>

#include "model/names.h"
#include "remote/url_encode.h"

namespace deltamirror {

namespace {

// In a list, `*` stands for any run of characters in one place and not in another, and the rest is
// what a header cannot hold as it is.
bool is_told_exactly(const std::string& name) {
  return std::none_of(name.begin(), name.end(), [](unsigned char c) {
    return c < 0x20 || c == 0x7f || c == '*' || c == '\\';
  });
}

std::string spelt(const std::string& name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
  if (plain) return name;
  std::string quoted = "\"";
  for (const char c : name) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

void AskedTables::add(std::string_view name) {
  try {
    QualifiedName parsed = parse_table_name(name);
    names_.emplace(std::move(parsed.schema), std::move(parsed.table));
  } catch (const daystream::ConfigError&) {
    // No line has it; who asked to copy such a table reads it there.
  }
}

std::string AskedTables::list() const {
  std::string list;
  for (const auto& [schema, table] : names_) {
    if (!is_told_exactly(schema) || !is_told_exactly(table)) return {};
    if (!list.empty()) list += ',';
    if (schema != "public") list += spelt(schema) + ".";
    list += spelt(table);
  }
  if (daystream::remote::url_encode(list).size() > kMostBytes) return {};
  return list;
}

}  // namespace deltamirror
