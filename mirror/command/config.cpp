#include "command/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "config/json_schema.h"
#include "config_schema.h"
#include "daystream/error.h"
#include "filter/expression.h"
#include "store/names.h"

namespace deltamirror {

using daystream::ConfigError;
using nlohmann::json;

namespace {

std::vector<std::string> index_columns(const json& value) {
  if (value.is_string()) return {value.get<std::string>()};
  return value.get<std::vector<std::string>>();
}

// `value` is right by the schema.
TableRequest table_request(const json& value) {
  TableRequest table;
  table.table = value.value("table", "");
  table.query = value.value("query", "");
  table.as = value.value("as", "");
  for (const json& index : value.value("indexes", json::array())) {
    table.indexes.push_back(index_columns(index));
  }
  if (value.contains("types")) table.types = value["types"].get<decltype(table.types)>();
  table.columns = value.value("columns", table.columns);
  if (value.contains("rename")) table.rename = value["rename"].get<decltype(table.rename)>();
  table.where = value.value("where", "");
  table.mode = mode_named(value.value("mode", ""));
  table.keep_days = value.value("keep_days", 0);
  return table;
}

// What no schema can say.
void check_table(const TableRequest& table, const std::string& at,
                 std::vector<SchemaProblem>& problems) {
  try {
    if (!table.table.empty()) parse_table_name(table.table);
  } catch (const ConfigError& e) {
    problems.push_back({at + "/table", fmt::format("{}: {}", e.what(), e.hint())});
  }
  try {
    if (!table.as.empty()) check_mirror_name(table.as);
  } catch (const ConfigError& e) {
    problems.push_back({at + "/as", e.what()});
  }
  try {
    if (!table.where.empty()) parse_filter(table.where);
  } catch (const ConfigError& e) {
    problems.push_back({at + "/where", fmt::format("{}: {}", e.what(), e.hint())});
  }
}

// After "parse error at line 1, column 2: ".
std::string parser_words(const json::parse_error& error) {
  const std::string text = error.what();
  const std::size_t column = text.find("column ");
  const std::size_t colon = text.find(": ", column == std::string::npos ? 0 : column);
  return colon == std::string::npos ? text : text.substr(colon + 2);
}

}  // namespace

std::string_view config_schema() {
  return kConfigSchema;
}

std::string ConfigProblem::text(const std::string& file) const {
  return fmt::format("{}:{}:{}: {}{}{}", file, place.line, place.column, pointer,
                     pointer.empty() ? "" : ": ", message);
}

ReadConfig read_config(const std::string& text) {
  static const json schema = json::parse(kConfigSchema);
  json root;
  try {
    root = json::parse(text);
  } catch (const json::parse_error& e) {
    const std::size_t at = e.byte == 0 ? 0 : e.byte - 1;
    return {{}, JsonPlaces("null"), {{"", place_of(text, at), "not JSON: " + parser_words(e)}}};
  }
  ReadConfig out{{}, JsonPlaces(text), {}};
  std::vector<SchemaProblem> problems = schema_problems(schema, root);
  for (const std::string& twice : out.places.repeated()) {
    problems.push_back({twice, "is there twice", true});
  }
  if (problems.empty()) {
    for (const json& table : root["tables"]) {
      const std::string at = fmt::format("/tables/{}", out.config.tables.size());
      out.config.tables.push_back(table_request(table));
      check_table(out.config.tables.back(), at, problems);
    }
    out.config.extra_sql = root.value("extra_sql", std::vector<std::string>());
  }
  for (SchemaProblem& problem : problems) {
    const TextPlace place =
        problem.of_key ? out.places.key(problem.pointer) : out.places.value(problem.pointer);
    out.problems.push_back({std::move(problem.pointer), place, std::move(problem.message)});
  }
  std::stable_sort(out.problems.begin(), out.problems.end(),
                   [](const auto& a, const auto& b) { return a.place < b.place; });
  return out;
}

MirrorConfig parse_config(const std::string& text, const std::string& file) {
  ReadConfig read = read_config(text);
  if (read.problems.empty()) return std::move(read.config);
  const std::size_t others = read.problems.size() - 1;
  throw ConfigError(
      read.problems.front().text(file),
      others == 0 ? "" : fmt::format("\"deltamirror config check\" tells {} more", others));
}

std::string read_text_file(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    throw daystream::IoError(fmt::format("could not open configuration \"{}\"", file), errno);
  }
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

MirrorConfig load_config(const std::string& file) {
  return parse_config(read_text_file(file), file);
}

json to_json(const TableRequest& request) {
  json out = json::object();
  if (!request.table.empty()) out["table"] = request.table;
  if (!request.query.empty()) out["query"] = request.query;
  if (!request.as.empty()) out["as"] = request.as;
  if (!request.indexes.empty()) out["indexes"] = request.indexes;
  if (!request.types.empty()) out["types"] = request.types;
  if (!request.columns.empty()) out["columns"] = request.columns;
  if (!request.rename.empty()) out["rename"] = request.rename;
  if (!request.where.empty()) out["where"] = request.where;
  if (request.mode != TableMode::Mirror) out["mode"] = mode_name(request.mode);
  if (request.keep_days != 0) out["keep_days"] = request.keep_days;
  return out;
}

}  // namespace deltamirror
