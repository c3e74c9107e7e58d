// Arguments of commands that a configuration file (--config) can give too, by a flag of their name.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <string>

namespace daystream::command {

inline std::string flag_of_place(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return "--" + name;
}

// Adds the argument NAME, and --name, which it overrides. `target` must outlive the parsing.
template <typename Target>
void add_place(CLI::App& command, const std::string& name, Target& target,
               const std::string& what) {
  command.add_option(flag_of_place(name), target, name + " as a flag, for --config")
      ->allow_extra_args(false);
  command.add_option(name, target, what);
}

// Once parsed: throws CLI::RequiredError where neither is given.
inline CLI::Option* add_check_flag(CLI::App& command, bool& check) {
  return command.add_flag(
      "--check", check,
      "look at all that a start with the same options needs, say what is missing, and "
      "end");
}

inline void require_place(const CLI::App& command, const std::string& name) {
  if (command.count(name) + command.count(flag_of_place(name)) == 0) throw CLI::RequiredError(name);
}

}  // namespace daystream::command
