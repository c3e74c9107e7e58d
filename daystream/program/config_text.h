// The text of a configuration file, as every program reads it.
#pragma once

#include <string>

namespace daystream::program {

// A file, or a pipe of another program, which gets 10 s to write. Throws ConfigError: it is not
// there, may not be read, is a directory, a pipe that nobody writes, or larger than 64 MiB.
std::string read_config_text(const std::string& file);

}  // namespace daystream::program
