#include "command/config.h"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "daystream/error.h"
#include "values/types.h"

namespace deltamirror {

using daystream::ConfigError;
using nlohmann::json;

namespace {

// Reads values and says where in the file a wrong one stands.
class JsonReader {
 public:
  explicit JsonReader(std::string file) : file_(std::move(file)) {}

  [[noreturn]] void fail(const std::string& path, const std::string& problem) const {
    throw ConfigError(fmt::format("{}: {}: {}", file_, path, problem));
  }
  std::string text(const json& value, const std::string& path) const {
    if (!value.is_string()) fail(path, "must be a string");
    return value.get<std::string>();
  }
  const json& list(const json& value, const std::string& path) const {
    if (!value.is_array()) fail(path, "must be a list");
    return value;
  }
  const json& object(const json& value, const std::string& path) const {
    if (!value.is_object()) fail(path, "must be an object");
    return value;
  }

 private:
  std::string file_;
};

std::vector<std::string> index_columns(const JsonReader& reader, const json& value,
                                       const std::string& path) {
  if (value.is_string()) return {value.get<std::string>()};
  if (!value.is_array() || value.empty()) {
    reader.fail(path, "must be a column, or a list of columns");
  }
  std::vector<std::string> out;
  for (std::size_t i = 0; i < value.size(); ++i) {
    out.push_back(reader.text(value[i], fmt::format("{}[{}]", path, i)));
  }
  return out;
}

TableRequest table_request(const JsonReader& reader, const json& value, const std::string& path) {
  TableRequest table;
  for (const auto& [key, member] : reader.object(value, path).items()) {
    const std::string at = path + "." + key;
    if (key == "table") {
      table.table = reader.text(member, at);
    } else if (key == "query") {
      table.query = reader.text(member, at);
    } else if (key == "as") {
      table.as = reader.text(member, at);
    } else if (key == "indexes") {
      for (std::size_t i = 0; i < reader.list(member, at).size(); ++i) {
        table.indexes.push_back(index_columns(reader, member[i], fmt::format("{}[{}]", at, i)));
      }
    } else if (key == "types") {
      for (const auto& [column, type] : reader.object(member, at).items()) {
        const std::string word = reader.text(type, at + "." + column);
        if (!type_named(word)) {
          reader.fail(at + "." + column, "must be text, integer, real or blob");
        }
        table.types.emplace(column, word);
      }
    } else {
      reader.fail(at, "is not known (table, query, as, indexes, types)");
    }
  }
  if (table.table.empty() && (table.query.empty() || table.as.empty())) {
    reader.fail(path, "needs \"table\", or \"query\" and \"as\" for a static query result");
  }
  return table;
}

}  // namespace

MirrorConfig parse_config(const std::string& text, const std::string& file) {
  const JsonReader reader(file);
  json root;
  try {
    root = json::parse(text);
  } catch (const json::parse_error& e) {
    throw ConfigError(fmt::format("{}: not JSON at byte {}", file, e.byte));
  }
  MirrorConfig config;
  for (const auto& [key, member] : reader.object(root, "$").items()) {
    const std::string at = "$." + key;
    if (key == "tables") {
      for (std::size_t i = 0; i < reader.list(member, at).size(); ++i) {
        config.tables.push_back(table_request(reader, member[i], fmt::format("{}[{}]", at, i)));
      }
    } else if (key == "extra_sql") {
      for (std::size_t i = 0; i < reader.list(member, at).size(); ++i) {
        config.extra_sql.push_back(reader.text(member[i], fmt::format("{}[{}]", at, i)));
      }
    } else {
      reader.fail(at, "is not known (tables, extra_sql)");
    }
  }
  if (config.tables.empty()) reader.fail("$.tables", "names no table");
  return config;
}

MirrorConfig load_config(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    throw daystream::IoError(fmt::format("could not open configuration \"{}\"", file), errno);
  }
  std::ostringstream text;
  text << in.rdbuf();
  return parse_config(text.str(), file);
}

}  // namespace deltamirror
