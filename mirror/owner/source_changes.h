// Whole sources come into a mirror and leave it, as its configuration names them.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "sqlite/sqlite.h"
#include "store/checkpoint.h"

namespace deltamirror {

// How the sources that a configuration names differ from those of a mirror.
struct SourceChange {
  std::vector<Checkpoint> add;  // each at the end of its daystream
  std::vector<std::string> remove;
};
// One that names no sources at all changes none. Throws ConfigError where the configuration names
// none of the mirror's sources, as it is another mirror's, Error where the daystream of a new one
// cannot be read, WrongSource where it is of a database that the mirror has.
SourceChange compare_sources(const Database& db, const MirrorConfig& config);

// Takes a source up without a table: they are copied as those are that a configuration adds.
void begin_source(Database& db, const Checkpoint& at);

// With all of its tables.
void remove_source(Database& db, const std::string& name);

}  // namespace deltamirror
