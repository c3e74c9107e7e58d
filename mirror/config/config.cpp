#include "config/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <utility>

#include "daystream/error.h"
#include "filter/expression.h"
#include "model/names.h"
#include "program/config_text.h"
#include "program/hint.h"
#include "program/json_schema.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::program::SchemaProblem;
using daystream::program::with_hint;
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
    problems.push_back({at + "/table", with_hint(e.what(), e.hint())});
  }
  try {
    if (!table.as.empty()) check_mirror_name(table.as);
  } catch (const ConfigError& e) {
    problems.push_back({at + "/as", e.what()});
  }
  try {
    if (!table.where.empty()) parse_filter(table.where);
  } catch (const ConfigError& e) {
    problems.push_back({at + "/where", with_hint(e.what(), e.hint())});
  }
}

bool is_source_name(const std::string& name) {
  return name.size() <= 63 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
         });
}

void check_source(const SourceConfig& source, const json& value, const std::string& at,
                  std::vector<SchemaProblem>& problems) {
  if (!is_source_name(source.name)) {
    problems.push_back(
        {at + "/name", "a source's name is of letters, digits, - _ and dots, at most 63"});
  }
  if (folded(value.value("source_column", "")).starts_with("_deltamirror_")) {
    problems.push_back({at + "/source_column", "is a name of the mirror's own"});
  }
  for (const TableRequest& table : source.tables) {
    if (table.mode == TableMode::Mirror || table.source_column.empty()) continue;
    problems.push_back({at + "/source_column",
                        fmt::format("does not go with \"mode\": \"{}\" (table \"{}\"): give the "
                                    "source a \"prefix\"",
                                    mode_name(table.mode), table.table)});
  }
}

// As one of its tables is asked for.
TableRequest of_source(TableRequest table, const json& source) {
  table.source = source["name"].get<std::string>();
  table.prefix = source.value("prefix", "");
  table.source_column = source.value("source_column", "");
  if (!table.as.empty()) table.as = table.prefix + table.as;
  return table;
}

std::vector<TableRequest> read_tables(const json& list, const std::string& at,
                                      std::vector<SchemaProblem>& problems) {
  std::vector<TableRequest> out;
  for (const json& table : list) {
    const std::string pointer = fmt::format("{}/{}", at, out.size());
    out.push_back(table_request(table));
    check_table(out.back(), pointer, problems);
  }
  return out;
}

void read_sources(const json& root, MirrorConfig& config, std::vector<SchemaProblem>& problems) {
  const std::vector<TableRequest> shared = std::exchange(config.tables, {});
  for (const json& value : root["sources"]) {
    const std::string at = fmt::format("/sources/{}", config.sources.size());
    SourceConfig& source = config.sources.emplace_back();
    source.name = value["name"];
    source.daystream = value["daystream"];
    if (value.contains("connection")) source.connection = value["connection"];
    std::vector<TableRequest> tables = shared;
    source.own_tables = value.contains("tables");
    if (source.own_tables) {
      tables = read_tables(value["tables"], at + "/tables", problems);
    } else if (shared.empty()) {
      problems.push_back({at, "needs \"tables\", here or for all sources"});
    }
    for (TableRequest& table : tables) {
      source.tables.push_back(of_source(std::move(table), value));
    }
    check_source(source, value, at, problems);
    for (std::size_t i = 0; i + 1 < config.sources.size(); ++i) {
      const SourceConfig& other = config.sources[i];
      if (other.name == source.name) {
        problems.push_back({at + "/name", fmt::format("\"{}\" is there already", source.name)});
      } else if (other.daystream == source.daystream) {
        problems.push_back(
            {at + "/daystream", fmt::format("is that of source \"{}\"", other.name)});
      }
    }
  }
}

}  // namespace

ReadConfig read_config(const std::string& text) {
  static const json schema = json::parse(daystream::program::mirror_config_schema());
  auto checked = daystream::program::check_json(text, schema);
  ReadConfig out{{}, std::move(checked.places), std::move(checked.problems)};
  std::vector<SchemaProblem> problems;  // beyond the schema
  if (out.problems.empty()) {
    const json& root = checked.value;
    if (root.contains("tables")) {
      out.config.tables = read_tables(root["tables"], "/tables", problems);
    }
    if (root.contains("sources")) read_sources(root, out.config, problems);
    out.config.on_trouble = on_trouble_named(root.value("on_trouble", ""));
    out.config.extra_sql = root.value("extra_sql", std::vector<std::string>());
  }
  for (SchemaProblem& problem : problems) {
    out.problems.push_back(daystream::program::placed(std::move(problem), out.places));
  }
  std::stable_sort(out.problems.begin(), out.problems.end(),
                   [](const auto& a, const auto& b) { return a.place < b.place; });
  return out;
}

const SourceConfig* MirrorConfig::source(const std::string& name) const noexcept {
  const auto found = std::find_if(sources.begin(), sources.end(),
                                  [&](const SourceConfig& each) { return each.name == name; });
  return found == sources.end() ? nullptr : &*found;
}

std::vector<TableRequest> MirrorConfig::all_tables() const {
  std::vector<TableRequest> out = tables;
  for (const SourceConfig& source : sources) {
    out.insert(out.end(), source.tables.begin(), source.tables.end());
  }
  return out;
}

MirrorConfig parse_config(const std::string& text, const std::string& file) {
  ReadConfig read = read_config(text);
  if (read.problems.empty()) return std::move(read.config);
  const std::size_t others = read.problems.size() - 1;
  throw ConfigError(read.problems.front().text(file),
                    others == 0
                        ? "mend it there; \"deltamirror config schema\" has what may stand where"
                        : fmt::format("\"deltamirror config check\" shows {} more", others));
}

MirrorConfig load_config(const std::string& file) {
  if (file.find("://") != std::string::npos) {
    throw ConfigError(fmt::format("\"{}\" is no file", file),
                      "\"deltamirror run\" alone takes a configuration from a server");
  }
  return parse_config(daystream::program::read_config_text(file), file);
}

std::string wish_text(const TableRequest& request) {
  json out = to_json(request);
  out["source"] = request.source;
  if (!request.prefix.empty()) out["prefix"] = request.prefix;
  if (!request.source_column.empty()) out["source_column"] = request.source_column;
  return out.dump();
}

TableRequest parse_wish(const std::string& text) {
  const json value = json::parse(text);
  TableRequest request = table_request(value);
  request.source = value.at("source");
  request.prefix = value.value("prefix", "");
  request.source_column = value.value("source_column", "");
  return request;
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
