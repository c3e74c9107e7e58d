// What people ask the hosts of a fleet to do once: DIR/commands/N.json, and what became of each at
// each mirror (docs/fleet.md#commands).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daystream/error.h"
#include "fleet/reports.h"
#include "program/host_command.h"
#include "program/labels.h"

namespace daystream::fleet {

using program::CommandOutcome;
using program::CommandOutcomes;

struct FleetCommand {
  std::uint64_t number = 0;
  program::HostCommand command;
  std::string name = "*";  // of the mirrors it is for, as a pattern
  Labels labels;           // that they have, each as a pattern
  std::chrono::sys_seconds time;
  std::string withdrawn_by;  // empty: it stands

  bool concerns(const std::string& mirror, const Labels& of_mirror) const;
  bool is_open(std::int64_t now) const noexcept;  // a host may begin with it
};

// Threads: one. Any number of processes may use a directory: a command is there whole or not at
// all.
class CommandDirectory {
 public:
  static constexpr const char* kFolder = "commands";
  static constexpr std::size_t kMostOpen = 100;
  static constexpr std::chrono::hours kLongest{31 * 24};  // until one expires

  // `fleet`: the fleet's directory.
  explicit CommandDirectory(const std::filesystem::path& fleet);

  const std::filesystem::path& path() const noexcept { return path_; }
  bool exists() const;
  // The oldest first. `damaged`: files that are no commands, which nobody begins with; who shows
  // the others shows these, too (damaged_commands()).
  std::vector<FleetCommand> load(std::vector<std::string>* damaged = nullptr) const;
  // Gives it a number and an id, and drops those that expired long ago. Throws ConfigError where it
  // cannot be asked for, Error where somebody else writes now, IoError.
  FleetCommand issue(FleetCommand command) const;
  // No host begins with it from then on, and one that is at it ends it where it can. Throws
  // ConfigError where there is none of that number, or it is over.
  FleetCommand withdraw(std::uint64_t number, const std::string& by) const;

 private:
  void save(const FleetCommand& command) const;

  std::filesystem::path path_;
};

// What is to be said of such files, of which there is one or more.
NeedsPerson damaged_commands(const std::vector<std::string>& files);

// {number, id, kind, arguments, name, labels, author, time, expires, text, withdrawn_by, state,
// mirrors}: `state` is open, expired or withdrawn; `mirrors` how many of `reports` are at which
// state, `waiting` and `not accepted` of those that have not begun.
nlohmann::ordered_json to_json(const FleetCommand& command,
                               const std::vector<std::shared_ptr<const MirrorReport>>& mirrors,
                               const std::map<std::string, CommandOutcome>& outcomes,
                               std::int64_t now);
// Whether its host does commands of the kind.
bool accepts(const MirrorReport& mirror, const std::string& kind);
// How one mirror is about it; empty: it is nothing to it.
std::string standing_of(const FleetCommand& command, const MirrorReport& mirror,
                        const std::map<std::string, CommandOutcome>& outcomes, std::int64_t now);

// What is asked for and what became of it, as a server knows it. Decides, and touches nothing.
//
// Threads: one.
class CommandBook {
 public:
  explicit CommandBook(CommandOutcomes known) : outcomes_(std::move(known)) {}

  // As the directory has them now. What became of those that are gone is forgotten.
  void hear(std::vector<FleetCommand> commands);
  const std::vector<FleetCommand>& all() const noexcept { return commands_; }
  const std::map<std::string, CommandOutcome>& outcomes(const std::string& id) const;

  // What a mirror says of itself: returns what of it is news.
  std::vector<CommandOutcome> tell(const MirrorReport& mirror);
  // What the mirror is to be told: {commands, withdrawn}, where there is something; else {}.
  nlohmann::ordered_json orders_for(const MirrorReport& mirror, std::int64_t now) const;
  // The number of the newest that the mirror may begin with; 0: none.
  std::uint64_t newest_for(const MirrorReport& mirror, std::int64_t now) const;
  // The newest of all, for people (see to_json()).
  nlohmann::ordered_json summary(const FleetView& view) const;

 private:
  bool is_due(const FleetCommand& command, const MirrorReport& mirror, std::int64_t now) const;

  std::vector<FleetCommand> commands_;
  CommandOutcomes outcomes_;
};

}  // namespace daystream::fleet
