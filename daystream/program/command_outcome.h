// What became of what a host of a fleet was asked to do (program/host_command.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace daystream::program {

// Of its words, which have what to do about it at their end.
inline constexpr std::size_t kMostResultBytes = 600;

// At one host: `running`; then one of `done`, `failed`, `refused` (it is not on the host's list),
// `expired`, `withdrawn`, and `interrupted`: its process ended meanwhile.
struct CommandOutcome {
  std::string id;  // of the command
  std::string state;
  std::string result;  // in words; may be empty
  std::chrono::sys_seconds at;

  bool is_final() const noexcept { return state != "running"; }
  bool operator==(const CommandOutcome&) const = default;
};
// By the ids of commands, and then by mirror.
using CommandOutcomes = std::map<std::string, std::map<std::string, CommandOutcome>>;

nlohmann::ordered_json to_json(const CommandOutcome& outcome);
// Harmless, and of no more than a few hundred bytes. nullopt: it is none.
std::optional<CommandOutcome> parse_outcome(const nlohmann::ordered_json& root);

}  // namespace daystream::program
