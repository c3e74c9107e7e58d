#include "model/names.h"

#include <fmt/format.h>

#include "daystream/error.h"
#include "program/postgres.h"

namespace deltamirror {

using daystream::ConfigError;

std::string QualifiedName::sql() const {
  return daystream::program::quote_identifier(schema) + "." +
         daystream::program::quote_identifier(table);
}

std::string QualifiedName::display() const {
  return schema + "." + table;
}

QualifiedName parse_table_name(std::string_view text) {
  std::string parts[2];
  std::size_t count = 0;
  std::size_t i = 0;
  const auto bad = [&] {
    throw ConfigError(fmt::format("\"{}\" is not a table name", text),
                      "write TABLE or SCHEMA.TABLE, quoted as in SQL where needed");
  };
  while (true) {
    if (count == 2) bad();
    std::string& part = parts[count++];
    if (i < text.size() && text[i] == '"') {
      for (++i;; ++i) {
        if (i == text.size()) bad();
        if (text[i] == '"') {
          if (i + 1 == text.size() || text[i + 1] != '"') break;
          ++i;
        }
        part += text[i];
      }
      ++i;
    } else {
      for (; i < text.size() && text[i] != '.'; ++i) {
        if (text[i] == '"') bad();
        part += text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
      }
    }
    if (part.empty()) bad();
    if (i == text.size()) break;
    if (text[i] != '.') bad();
    ++i;
  }
  if (count == 1) return {"public", parts[0]};
  return {parts[0], parts[1]};
}

std::string default_mirror_name(const QualifiedName& name) {
  return name.schema == "public" ? name.table : name.schema + "_" + name.table;
}

void check_mirror_name(const std::string& name) {
  const std::string small = folded(name);
  if (small.starts_with("sqlite_")) {
    throw ConfigError(fmt::format("a table in SQLite cannot be called \"{}\"", name),
                      "give it another name with --as or \"as\"");
  }
  if (small.starts_with("_deltamirror_")) {
    throw ConfigError(fmt::format("\"{}\" is a name of the mirror's own tables", name),
                      "give it another name with --as or \"as\"");
  }
}

std::string folded(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

}  // namespace deltamirror
