// What the host of a mirror was asked to do and what became of it: MIRROR.commands.json, so that
// each command is begun at most once, whatever is killed when (docs/fleet.md#commands).
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "program/command_outcome.h"

namespace daystream::program {
struct HostCommand;
}

namespace deltamirror {

// The mirror stands still until it is told to continue.
struct Paused {
  std::string id;  // of the command
  std::string by;
  std::chrono::sys_seconds since;
};

// Ownership: of who owns the mirror; others may read it at any time, as it is replaced whole.
class CommandRecord {
 public:
  struct Entry {
    daystream::program::CommandOutcome outcome;
    std::string kind;
    std::chrono::sys_seconds expires;
  };

  // An empty one where there is none. Throws NeedsPerson where it is damaged: what has been done
  // already is not known then.
  static CommandRecord load(const std::string& mirror);
  static bool exists(const std::string& mirror);
  void save(const std::string& mirror) const;  // on disk when it returns; throws IoError
  // Whoever has the mirror now takes no commands: nobody could tell it to continue.
  static void release(const std::string& mirror);

  const std::vector<Entry>& entries() const noexcept { return entries_; }
  // Whether it was begun, or refused, or may have been: of those that have expired long ago not
  // each is remembered.
  bool knows(const daystream::program::HostCommand& command) const;
  Entry* find(const std::string& id);
  // Room is made for it: what has expired is dropped, the oldest first.
  Entry& add(const daystream::program::HostCommand& command, std::chrono::sys_seconds now);
  void drop(const std::string& id);

  std::optional<Paused> paused;

 private:
  std::vector<Entry> entries_;                         // the oldest first
  std::optional<std::chrono::sys_seconds> forgotten_;  // the latest expiry of those dropped
};

// "paused since …, as … has asked", and what to do about it.
std::string words_of(const Paused& paused);
inline constexpr const char* kHowToContinue =
    "\"daystream fleet DIR command continue\" lets it go on";
// {id, by, since}; null: it is not.
nlohmann::ordered_json to_json(const std::optional<Paused>& paused);

}  // namespace deltamirror
