// Where the sources of a mirror are read.
#pragma once

#include <vector>

#include "owner/follow.h"
#include "sqlite/sqlite.h"

namespace deltamirror {

// `options`, for each of the mirror's sources: as their configuration says, or, without one, where
// each was read last. Throws ConfigError where the configuration and the mirror have not the same
// sources, and for what cannot be done with several.
std::vector<FollowOptions> options_of_sources(const FollowOptions& options, Database& db);

}  // namespace deltamirror
