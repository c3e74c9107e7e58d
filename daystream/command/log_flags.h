// The flags of the commands that run until they are stopped: how they log.
#pragma once

#include <CLI/CLI.hpp>

#include "program/program.h"

namespace daystream::command {

// Adds --log-level and --log-format. `log` must outlive the parsing.
void add_log_flags(CLI::App& command, program::LogOptions& log);

}  // namespace daystream::command
