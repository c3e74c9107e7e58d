#include "program/host_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>

#include "calendar.h"
#include "daystream/error.h"
#include "grammar/table_list.h"
#include "program/harmless.h"
#include "program/json.h"
#include "program/json_schema.h"
#include "program/quoted.h"
#include "program/retention.h"
#include "program/sample_size.h"

namespace daystream::program {

using nlohmann::json;
using nlohmann::ordered_json;

namespace {

constexpr std::size_t kMostWords = 300;
constexpr std::size_t kMostId = 40;
constexpr std::array<const char*, 7> kOutcomes = {"running", "done",      "failed",     "refused",
                                                  "expired", "withdrawn", "interrupted"};

// What may be said of each kind.
const std::map<std::string, json>& argument_schemas() {
  static const std::map<std::string, json> schemas = [] {
    const json none = {{"type", "object"}, {"additionalProperties", false}};
    const auto with = [](const json& properties, const json& required = json::array()) {
      return json{{"type", "object"},
                  {"additionalProperties", false},
                  {"required", required},
                  {"properties", properties}};
    };
    const json name = {{"type", "string"}, {"minLength", 1}};
    return std::map<std::string, json>{
        {"verify", none},
        {"sample", with({{"size", name}})},
        {"reseed", with({{"tables", {{"type", "array"}, {"minItems", 1}, {"items", name}}},
                         {"source", name},
                         {"whole", {{"type", "boolean"}}}},
                        {"tables"})},
        {"snapshot", with({{"keep", name}})},
        {"pause", none},
        {"continue", none},
        {"restart", none}};
  }();
  return schemas;
}

bool is_of(const std::string& text, const char* characters) {
  return text.find_first_not_of(characters) == std::string::npos;
}

// Nothing that a command line could take for something else. What these come to is for
// check_command(): what was asked for before it is not to become unreadable.
std::string text_problem(const json& arguments) {
  const std::string size = text_of(arguments, "size");
  if (!is_of(size, "0123456789.%")) {
    return fmt::format("/size: \"{}\" is no size of a sample: write it like 1% or 1000", size);
  }
  const std::string keep = text_of(arguments, "keep");
  if (!is_of(keep, "0123456789hdwm,")) {
    return fmt::format("/keep: \"{}\" says not what to keep: write it like 7d,4w or 10", keep);
  }
  return {};
}

}  // namespace

const std::vector<std::string>& command_kinds() {
  static const std::vector<std::string> kinds = [] {
    std::vector<std::string> out;
    for (const auto& [kind, schema] : argument_schemas()) out.push_back(kind);
    return out;
  }();
  return kinds;
}

bool is_command_kind(const std::string& kind) {
  return argument_schemas().contains(kind);
}

std::string command_problem(const std::string& kind, const json& arguments) {
  const auto schema = argument_schemas().find(kind);
  if (schema == argument_schemas().end()) {
    return fmt::format("\"{}\" is no command of a host: there are {}",
                       harmless_words(kind, kMostId), fmt::join(command_kinds(), ", "));
  }
  const auto problems = schema_problems(schema->second, arguments);
  return problems.empty() ? text_problem(arguments) : problems.front().text();
}

namespace {

// As "daystream fleet DIR command" calls it.
std::string option_of(const std::string& key) {
  return key == "tables" ? "--table" : "--" + key;
}

// What the kind does not take, and what it lacks.
void check_arguments(const std::string& kind, const json& schema, const json& arguments) {
  const json takes = schema.value("properties", json::object());
  std::string options;
  for (const auto& [key, value] : takes.items()) {
    options += (options.empty() ? "" : ", ") + option_of(key);
  }
  for (const auto& [key, value] : arguments.items()) {
    if (takes.contains(key)) continue;
    throw ConfigError(fmt::format("\"{}\" takes no {}", kind, option_of(key)),
                      options.empty() ? "leave it out: it takes no option of its own"
                                      : fmt::format("leave it out: it takes {}", options));
  }
  for (const json& key : schema.value("required", json::array())) {
    if (arguments.contains(key.get<std::string>())) continue;
    throw ConfigError(fmt::format("\"{}\" needs {}", kind, option_of(key.get<std::string>())),
                      "\"daystream fleet DIR command --help\" shows an example");
  }
}

void check_table(const std::string& name) {
  std::string storage(name.size(), '\0');
  std::string_view schema;
  std::string_view table;
  if (grammar::parse_table_name(name, storage.data(), schema, table)) return;
  throw ConfigError(
      fmt::format("invalid --table {}: it is not a table name", in_quotes(harmless_words(name))),
      "write TABLE or SCHEMA.TABLE, quoted as in SQL where needed; for more than one "
      "repeat --table");
}

}  // namespace

void check_command(const std::string& kind, const json& arguments) {
  const auto schema = argument_schemas().find(kind);
  if (schema != argument_schemas().end()) check_arguments(kind, schema->second, arguments);
  const std::string size = text_of(arguments, "size");
  if (!size.empty() && !parse_sample_size(size)) {
    throw ConfigError(fmt::format("invalid --size \"{}\"", harmless_words(size)), kSampleSizeLike);
  }
  const std::string keep = text_of(arguments, "keep");
  if (!keep.empty() && !parse_retention(keep)) {
    throw ConfigError(fmt::format("invalid --keep \"{}\"", harmless_words(keep)), kRetentionLike);
  }
  const std::string problem = command_problem(kind, arguments);
  if (!problem.empty()) throw ConfigError(problem, "\"daystream fleet DIR command --help\"");
  for (const json& table : arguments.value("tables", json::array())) {
    check_table(table.get<std::string>());
  }
}

std::string command_words(const std::string& kind, const json& arguments) {
  std::string out = kind;
  for (const auto& [key, value] : arguments.items()) {
    if (value.is_boolean()) {
      if (value.get<bool>()) out += " " + key;
      continue;
    }
    std::string words;
    for (const json& each : value.is_array() ? value : json::array({value})) {
      words += (words.empty() ? "" : ", ") + (each.is_string() ? each.get<std::string>() : "?");
    }
    out += fmt::format(" {} {}", key, words);
  }
  return harmless_words(out, kMostWords);
}

ordered_json to_json(const HostCommand& command) {
  ordered_json out;
  out["id"] = command.id;
  out["kind"] = command.kind;
  out["arguments"] = command.arguments;
  out["author"] = command.author;
  out["text"] = command.text;
  out["expires"] = utc_text(command.expires);
  return out;
}

std::optional<HostCommand> parse_command(const json& root) {
  HostCommand command;
  command.id = text_of(root, "id");
  command.kind = text_of(root, "kind");
  command.author = text_of(root, "author");
  command.text = text_of(root, "text");
  const auto expires = parse_utc_text(text_of(root, "expires"));
  if (command.id.empty() || command.id.size() > kMostId || !expires) return std::nullopt;
  command.arguments = root.value("arguments", json());
  if (!command_problem(command.kind, command.arguments).empty()) return std::nullopt;
  command.expires = *expires;
  return command;
}

ordered_json to_json(const CommandOutcome& outcome) {
  ordered_json out;
  out["id"] = outcome.id;
  out["state"] = outcome.state;
  out["result"] = outcome.result;
  out["at"] = utc_text(outcome.at);
  return out;
}

std::optional<CommandOutcome> parse_outcome(const ordered_json& root) {
  CommandOutcome outcome;
  outcome.id = harmless_words(text_of(root, "id"), kMostId);
  outcome.state = text_of(root, "state");
  outcome.result = harmless_words(text_of(root, "result"), kMostResultBytes);
  const auto at = parse_utc_text(text_of(root, "at"));
  const bool is_known =
      std::find(kOutcomes.begin(), kOutcomes.end(), outcome.state) != kOutcomes.end();
  if (outcome.id.empty() || !is_known || !at) return std::nullopt;
  outcome.at = *at;
  return outcome;
}

}  // namespace daystream::program
