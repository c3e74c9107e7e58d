// daystream fleet DIR command, commands, withdraw: what hosts are asked to do once.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "commands.h"

namespace daystream::command {

// A subcommand of `fleet`, which does `act` with what was parsed into `options`.
template <typename Options>
CLI::App& add_acting(CLI::App& fleet, const std::string& name, const std::string& what,
                     const std::shared_ptr<Options>& options, Chosen& chosen,
                     int (*act)(const Options&)) {
  CLI::App& each = *fleet.add_subcommand(name, what);
  each.fallthrough();
  each.callback([options, &chosen, act] {
    chosen = [options, act](const Reach& reach) {
      options->http = reach.http;
      return act(*options);
    };
  });
  return each;
}

// Adds the three to `fleet`. `directory`: what it was given for its DIR, once that is parsed.
void add_fleet_commands(CLI::App& fleet, const std::shared_ptr<const std::string>& directory,
                        Chosen& chosen);

// Who runs this, for the log.
std::string own_user_name();

}  // namespace daystream::command
