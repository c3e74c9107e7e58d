// Where the sources of a mirror are read, and how their databases are reached.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "daystream/stream.h"
#include "sqlite/sqlite.h"
#include "store/checkpoint.h"

namespace deltamirror {

// A stream of any kind that deltamirror reads. Asks nothing of it yet. Throws ConfigError.
daystream::Stream open_stream(const std::string& address,
                              std::chrono::seconds answer_within = std::chrono::seconds(30));

// As the command line says.
struct AskedPlaces {
  std::string config_file;              // empty: none
  std::string source;                   // empty: all
  daystream::Stream daystream;          // of one; empty: not said
  std::optional<std::string> conninfo;  // nullopt: not said
};

struct SourcePlace {
  Checkpoint at;
  daystream::Stream daystream;
  std::optional<std::string> conninfo;
};

// A source's daystream is the one given, the configuration's, or where it was read last. Throws
// ConfigError where there is no such source, where one daystream is given for several, and where
// configuration and mirror have not the same sources. A configuration without sources is of a
// mirror of one.
std::vector<SourcePlace> source_places(const Database& db, const AskedPlaces& asked);
// `config`: what asked.config_file says.
std::vector<SourcePlace> source_places(const Database& db, const AskedPlaces& asked,
                                       const MirrorConfig& config);

}  // namespace deltamirror
