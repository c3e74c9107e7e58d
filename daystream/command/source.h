// The SOURCE argument of a command.
#pragma once

#include <filesystem>
#include <string>

namespace daystream::command {

// What `source` names: a directory, or the URL of one that is served. Reader, Manifest::load() and
// the library's questions take either.
std::filesystem::path source_directory(const std::string& source);
// For commands that need the files themselves. Throws ConfigError where it is an URL.
std::filesystem::path local_directory(const std::string& source);

}  // namespace daystream::command
