#include "model/names.h"

#include <fmt/format.h>

#include "daystream/error.h"
#include "grammar/table_list.h"
#include "program/postgres.h"
#include "program/quoted.h"

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
  std::string storage(text.size(), '\0');
  std::string_view schema;
  std::string_view table;
  if (!grammar::parse_table_name(text, storage.data(), schema, table)) {
    throw ConfigError(fmt::format("{} is not a table name", daystream::program::in_quotes(text)),
                      "write TABLE or SCHEMA.TABLE, quoted as in SQL where needed");
  }
  return {std::string(schema), std::string(table)};
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
