// The STREAM argument of a command.
#pragma once

#include <filesystem>

#include "daystream/stream.h"

namespace daystream::command {

// For commands that need the files themselves. Throws ConfigError where they are on another host.
std::filesystem::path local_directory(const Stream& source);

}  // namespace daystream::command
