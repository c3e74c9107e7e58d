// Makes a mirror: loads tables and query results of one PostgreSQL snapshot.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "daystream/stream.h"
#include "program/program.h"

namespace deltamirror {

class MirrorLock;

struct SeedOptions {
  std::string mirror;
  std::string conninfo;
  daystream::Stream daystream;  // empty: the configuration names those of its sources
  MirrorConfig config;
  bool resumes = true;                // what is whole of a seed that fails is left for the next one
  const MirrorLock* owner = nullptr;  // of the caller, which has it; nullptr: it is taken here
};

// The sources of the configuration, or the one without a name that the options describe.
std::vector<SourceConfig> sources_of(const SeedOptions& options);

// Loads into MIRROR.seeding and renames that without replacing anything, once all is on disk: a
// seed killed at any point leaves no mirror, and a later one goes on with the tables that are
// whole, or starts clean. Throws Error where the mirror, or its -wal, -shm or -journal, exists.
//
// Where `config` names sources, all of them are seeded, one after the other, each from a snapshot
// of its own; `daystream` is not read, and `conninfo` is for those that name no connection. Throws
// WrongSource where two of them are one database, and NeedsPerson where tables that are to share
// one do not fit: before any is copied.
void seed(const SeedOptions& options, const daystream::program::Signals& signals);

}  // namespace deltamirror
