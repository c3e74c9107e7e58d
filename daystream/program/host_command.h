// What a host of a fleet can be asked to do once (docs/fleet.md#commands): the few kinds there are,
// and what of each may be said. Never a shell: whatever is not here cannot be asked for.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "program/command_outcome.h"

namespace daystream::program {

struct HostCommand {
  std::string id;  // as no other command has it, whatever becomes of the fleet's directory
  std::string kind;
  nlohmann::json arguments = nlohmann::json::object();
  std::string author;
  std::string text;                  // why; may be empty
  std::chrono::sys_seconds expires;  // it is not begun then, or later
};

// verify, sample, reseed, snapshot, pause, continue, restart.
const std::vector<std::string>& command_kinds();
bool is_command_kind(const std::string& kind);

// What is wrong with it, as "POINTER: what"; empty: a host can be given it.
std::string command_problem(const std::string& kind, const nlohmann::json& arguments);
// For who asks: throws ConfigError, in the words of "daystream fleet DIR command", also for what
// each host would only refuse.
void check_command(const std::string& kind, const nlohmann::json& arguments);

// "reseed flights, crews", for logs and people; harmless, whoever has written it.
std::string command_words(const std::string& kind, const nlohmann::json& arguments);

// {id, kind, arguments, author, text, expires}. nullopt: it is none, or one of another kind.
nlohmann::ordered_json to_json(const HostCommand& command);
std::optional<HostCommand> parse_command(const nlohmann::json& root);

}  // namespace daystream::program
