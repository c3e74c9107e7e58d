// The daystream and the slot that `up` makes for a mirror alone.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/config.h"

namespace deltamirror {

// One database that `up` follows.
struct OwnStream {
  std::filesystem::path directory;
  std::string slot;
  std::string conninfo;
  std::vector<TableRequest> tables;  // that are asked for
};

// The name of a mirror's own slot: by this host and the file's absolute path, so that no two
// mirrors in the world take each other's. `source`: of one of several.
std::string own_slot_name(const std::string& mirror, const std::string& source = {});

// Where `up` keeps the stream of a mirror of one source: MIRROR.daystream.
std::filesystem::path own_directory(const std::string& mirror);

// The slot of the daystream that is in `directory`; empty: there is none.
std::string slot_in(const std::filesystem::path& directory);

bool slot_exists(const std::string& conninfo, const std::string& slot);

// Waits a moment for who has it to let go. False: there is no such slot. Throws NeedsPerson where
// it is not one of deltaflood's, Error where somebody goes on using it.
bool drop_slot(const std::string& conninfo, const std::string& slot);

}  // namespace deltamirror
