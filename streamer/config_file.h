// deltastream's configuration file: JSON whose keys are the names of its flags.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace deltastream {

// What --config names among the arguments, which must be known before the rest is parsed; empty:
// there is none.
std::string config_file_of(const std::vector<std::string>& arguments);

// The file's keys as the flags they stand for, for the real ones to follow and override. Throws
// ConfigError: it cannot be read, or has a key that `app` has no flag for.
std::vector<std::string> flags_of_file(const CLI::App& app, const std::string& file);

}  // namespace deltastream
