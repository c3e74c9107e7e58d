// daystream fleet DIR command, commands, withdraw: what hosts are asked to do once.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "commands.h"

namespace daystream::command {

// Adds the three to `fleet`. `directory`: what it was given for its DIR, once that is parsed.
void add_fleet_commands(CLI::App& fleet, const std::shared_ptr<const std::string>& directory,
                        Chosen& chosen);

// Who runs this, for the log.
std::string own_user_name();

}  // namespace daystream::command
