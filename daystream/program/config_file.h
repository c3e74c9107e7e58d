// Configuration files of programs: JSON, with comments, whose keys are the names of their flags.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace daystream::program {

// Adds --config, whose value goes to `file`, which must outlive the parsing.
CLI::Option* add_config_option(CLI::App& command, std::string& file);

// `arguments` with the flags that stand in the file which --config names. They come before the real
// ones, which override them; of flags that may be repeated, all count. Where the arguments name a
// subcommand that has --config, the file is for that one, and for the flags it takes from `app`.
//
// Text and numbers are values, true is a flag without one, false is none. Of a flag that may be
// repeated a list is a value each, and an object NAME=VALUE for each member. Throws ConfigError:
// the file cannot be read, or has a key for which there is no flag.
std::vector<std::string> with_config_file(const CLI::App& app,
                                          const std::vector<std::string>& arguments);

// parse() of these. Throws ConfigError too.
void parse_with_config_file(CLI::App& app, const std::vector<std::string>& arguments);

}  // namespace daystream::program
