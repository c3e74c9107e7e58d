// The daystream and the slot that `up` makes for a mirror alone.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "program/postgres.h"

namespace deltamirror {

// One database that `up` follows.
struct OwnStream {
  std::string source;  // in the configuration; empty: the mirror's only one
  std::filesystem::path directory;
  std::string slot;
  std::string conninfo;
  std::vector<TableRequest> tables;         // that are asked for
  std::string publication = {};             // by PostgreSQL's own plugin; empty: by ours
  std::vector<std::string> published = {};  // of the tables, those that are in it now
};

// The name of a mirror's own slot: by this host and the file's absolute path, so that no two
// mirrors in the world take each other's. `source`: of one of several.
std::string own_slot_name(const std::string& mirror, const std::string& source = {});

// Where `up` keeps the stream of a mirror of one source: MIRROR.daystream.
std::filesystem::path own_directory(const std::string& mirror);

// What `down` calls a mirror's file, or a stream's directory, while it removes it: with it goes in
// one moment what `up` would go on with.
std::filesystem::path name_of_removal(const std::filesystem::path& path);

// Before the directory of a stream is removed: throws NeedsPerson where it is there and no
// daystream, nor what is left of one.
void require_removable(const std::filesystem::path& directory);

// The slot of the daystream that is in `directory`; empty: there is none.
std::string slot_in(const std::filesystem::path& directory);
// The publication that it streams from; empty: none.
std::string publication_in(const std::filesystem::path& directory);

// Its plugin; nullopt: there is no such slot.
std::optional<std::string> plugin_of_slot(PGconn* pg, const std::string& slot);

// Waits a moment for who has it to let go. False: there is no such slot. Throws NeedsPerson where
// it is of another plugin than the stream, Error where somebody goes on using it.
bool drop_slot(const OwnStream& stream);

}  // namespace deltamirror
