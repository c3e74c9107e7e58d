// The SOURCE argument of a command.
#pragma once

#include <filesystem>
#include <string>

namespace daystream::command {

// The directory that `source` names. Throws ConfigError where it is not one of this machine.
std::filesystem::path source_directory(const std::string& source);

}  // namespace daystream::command
