// The flags of the commands that run until they are stopped: how they log.
#pragma once

#include <CLI/CLI.hpp>

#include "program/program.h"

namespace daystream::command {

// Adds --log-level and --log-format. `log` must outlive the parsing.
inline void add_log_flags(CLI::App& command, program::LogOptions& log) {
  command.add_option("--log-level", log.level, "error, warn, info or debug")
      ->check(CLI::IsMember({"error", "warn", "info", "debug"}))
      ->capture_default_str();
  command.add_option("--log-format", log.format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

}  // namespace daystream::command
