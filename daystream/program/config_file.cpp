#include "program/config_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>

#include "daystream/error.h"
#include "program/config_text.h"
#include "program/json.h"
#include "program/usage.h"

namespace daystream::program {

namespace {

using Arguments = std::vector<std::string>;
using nlohmann::json;

// Which command a file is for, and where its flags go.
struct CommandPlace {
  const CLI::App* command;
  std::size_t at;  // among the arguments
};

bool takes_value(const CLI::App& app, const std::string& argument) {
  const CLI::Option* option = app.get_option_no_throw(argument);
  return option != nullptr && option->get_items_expected_max() > 0;
}

const CLI::App* subcommand_of(const CLI::App& app, const std::string& name) {
  const auto found =
      app.get_subcommands([&name](const CLI::App* each) { return each->get_name() == name; });
  return found.empty() ? nullptr : found.front();
}

CommandPlace place_of(const CLI::App& app, const Arguments& arguments) {
  for (std::size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
    const CLI::App* command = subcommand_of(app, arguments[i]);
    if (command != nullptr) {
      if (command->get_option_no_throw("--config") == nullptr) break;
      return {command, i + 1};
    }
    if (takes_value(app, arguments[i])) ++i;
  }
  return {&app, 0};
}

// What --config names; empty: there is none. It must be known before the rest is parsed.
// Where two differ, none is read: parse() refuses them, as it does of all that is given twice.
std::string config_file_of(const Arguments& arguments, std::size_t from) {
  constexpr std::string_view kFlag = "--config";
  std::vector<std::string> files;
  for (std::size_t i = from; i < arguments.size() && arguments[i] != "--"; ++i) {
    if (arguments[i] == kFlag && i + 1 < arguments.size()) files.push_back(arguments[i + 1]);
    if (arguments[i].starts_with("--config=")) {
      files.push_back(arguments[i].substr(kFlag.size() + 1));
    }
  }
  const bool differ =
      std::adjacent_find(files.begin(), files.end(), std::not_equal_to<>()) != files.end();
  return files.empty() || differ ? "" : files.front();
}

std::string json_text(const std::string& path, const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return value.dump();
  throw ConfigError(
      fmt::format("cannot use {}: must be text or a number", path),
      "write \"text\", a number, true or false; a list of them for a flag that may be repeated");
}

bool is_for_file(const CLI::Option* option) {
  return option != nullptr && !option->get_group().empty();
}

const CLI::Option* option_of(const CLI::App& command, const std::string& key) {
  if (key == "config" || key == "help" || key == "version") return nullptr;
  const CLI::Option* own = command.get_option_no_throw("--" + key);
  if (is_for_file(own) || command.get_parent() == nullptr) return is_for_file(own) ? own : nullptr;
  return option_of(*command.get_parent(), key);
}

// One key of the file as the flags it stands for.
void append_flags(Arguments& flags, const std::string& path, const CLI::Option& option,
                  const std::string& key, const json& value) {
  const bool repeats = option.get_items_expected_max() > 1;
  if (value.is_boolean()) {
    if (value.get<bool>()) flags.push_back("--" + key);
  } else if (repeats && value.is_array()) {
    for (const json& each : value) {
      flags.push_back(fmt::format("--{}={}", key, json_text(path, each)));
    }
  } else if (repeats && value.is_object()) {
    for (const auto& [name, text] : value.items()) {
      flags.push_back(
          fmt::format("--{}={}={}", key, name, json_text(fmt::format("{}.{}", path, name), text)));
    }
  } else {
    flags.push_back(fmt::format("--{}={}", key, json_text(path, value)));
  }
}

json json_of_file(const std::string& file) {
  const std::string text = read_config_text(file);
  json root;
  try {
    root = json::parse(without_comments(text));
  } catch (const json::exception& e) {
    // nlohmann's are "[json.exception.parse_error.101] parse error at line 2, column 1: …".
    std::string words = e.what();
    if (words.starts_with('[')) words.erase(0, words.find(']') + 2);
    throw ConfigError(fmt::format("cannot read configuration file \"{}\": {}", file, words),
                      "mend it there: it is JSON, in which comments are allowed");
  }
  if (root.is_object()) return root;
  throw ConfigError(fmt::format("cannot read configuration file \"{}\": must be an object", file),
                    "write {\"flag\": \"value\"}, with the names of the flags");
}

Arguments flags_of_file(const CLI::App& command, const std::string& file) {
  Arguments flags;
  const json root = json_of_file(file);
  for (const auto& [key, value] : root.items()) {
    const std::string path = fmt::format("key \"{}\" of configuration file \"{}\"", key, file);
    const CLI::Option* option = option_of(command, key);
    if (option == nullptr)
      throw ConfigError(fmt::format("unrecognized {}", path),
                        "keys are the names of flags, without the dashes: see --help");
    append_flags(flags, path, *option, key, value);
  }
  return flags;
}

// What the file that the arguments name has, and where among them it goes.
struct FileFlags {
  Arguments flags;
  std::size_t at = 0;
};

FileFlags flags_for(const CLI::App& app, const Arguments& arguments) {
  const CommandPlace place = place_of(app, arguments);
  const std::string file = config_file_of(arguments, place.at);
  if (file.empty() || place.command->get_option_no_throw("--config") == nullptr) return {};
  return {flags_of_file(*place.command, file), place.at};
}

Arguments inserted(Arguments arguments, const FileFlags& flags) {
  arguments.insert(arguments.begin() + static_cast<std::ptrdiff_t>(flags.at), flags.flags.begin(),
                   flags.flags.end());
  return arguments;
}

}  // namespace

CLI::Option* add_config_option(CLI::App& command, std::string& file) {
  return command.add_option("--config", file,
                            "JSON file with these names as keys; it may have comments");
}

std::vector<std::string> with_config_file(const CLI::App& app,
                                          const std::vector<std::string>& arguments) {
  return inserted(arguments, flags_for(app, arguments));
}

void parse_with_config_file(CLI::App& app, const std::vector<std::string>& arguments) {
  const FileFlags flags = flags_for(app, arguments);
  parse(app, inserted(arguments, flags), flags.flags);
}

}  // namespace daystream::program
