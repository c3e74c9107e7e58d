// `deltamirror config`: its schema, a check, a first one.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace deltamirror {

struct ConfigCommand {
  std::string verb;                     // schema, check, init
  std::string file;                     // of check
  std::optional<std::string> conninfo;  // nullopt: check is not with a database
  std::vector<std::string> tables;      // of init; empty: all
};

// Prints to standard output. Throws ConfigError where check has found something.
void run_config_command(const ConfigCommand& command);

}  // namespace deltamirror
