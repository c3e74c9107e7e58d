#include "config_file.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "daystream/error.h"

namespace deltastream {

namespace {

using daystream::ConfigError;
using Arguments = std::vector<std::string>;

std::string json_text(const std::string& path, const nlohmann::json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return value.dump();
  throw ConfigError(fmt::format("cannot use {}: must be text or a number", path));
}

// One key of the file as the flags it stands for.
void append_flags(Arguments& flags, const std::string& path, const std::string& key,
                  const nlohmann::json& value) {
  if (key == "option") {
    if (!value.is_object()) {
      throw ConfigError(fmt::format("cannot use {}: must be an object", path));
    }
    for (const auto& [name, text] : value.items()) {
      flags.push_back(
          fmt::format("--option={}={}", name, json_text(fmt::format("{}.{}", path, name), text)));
    }
  } else if (value.is_boolean()) {
    if (value.get<bool>()) flags.push_back("--" + key);
  } else {
    flags.push_back(fmt::format("--{}={}", key, json_text(path, value)));
  }
}

}  // namespace

std::string config_file_of(const Arguments& arguments) {
  std::string file;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    constexpr std::string_view kFlag = "--config";
    if (arguments[i] == kFlag && i + 1 < arguments.size()) file = arguments[i + 1];
    if (arguments[i].starts_with("--config=")) file = arguments[i].substr(kFlag.size() + 1);
  }
  return file;
}

Arguments flags_of_file(const CLI::App& app, const std::string& file) {
  std::ifstream in(file);
  if (!in) throw ConfigError(fmt::format("could not open configuration file \"{}\"", file));
  nlohmann::json root;
  try {
    root = nlohmann::json::parse(in);
  } catch (const nlohmann::json::exception& e) {
    throw ConfigError(fmt::format("cannot read configuration file \"{}\": {}", file, e.what()));
  }
  if (!root.is_object()) {
    throw ConfigError(
        fmt::format("cannot read configuration file \"{}\": must be an object", file));
  }
  Arguments flags;
  for (const auto& [key, value] : root.items()) {
    const std::string path = fmt::format("key \"{}\" of configuration file \"{}\"", key, file);
    if (key == "config" || key == "help" || key == "version" ||
        app.get_option_no_throw("--" + key) == nullptr) {
      throw ConfigError(fmt::format("unrecognized {}", path));
    }
    append_flags(flags, path, key, value);
  }
  return flags;
}

}  // namespace deltastream
