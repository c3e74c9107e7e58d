#include "program/host_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>

#include "calendar.h"
#include "program/harmless.h"
#include "program/json.h"
#include "program/json_schema.h"

namespace daystream::program {

using nlohmann::json;
using nlohmann::ordered_json;

namespace {

constexpr std::size_t kMostResult = 300;
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

// As "deltamirror verify --sample" and "deltamirror snapshot --keep" take them: what they refuse in
// the end, the host does.
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
  return harmless_words(out, kMostResult);
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
  outcome.result = harmless_words(text_of(root, "result"), kMostResult);
  const auto at = parse_utc_text(text_of(root, "at"));
  const bool is_known =
      std::find(kOutcomes.begin(), kOutcomes.end(), outcome.state) != kOutcomes.end();
  if (outcome.id.empty() || !is_known || !at) return std::nullopt;
  outcome.at = *at;
  return outcome;
}

}  // namespace daystream::program
