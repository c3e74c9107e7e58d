// `up` of a database that only leads to others (seed/shards.h): the mirror is of these.
#pragma once

#include <filesystem>
#include <string>

#include "up/up.h"

namespace deltamirror {

// Where the configuration is that `up` then writes beside the mirror: MIRROR.sources.json. It may
// be edited, and counts as long as it is there.
std::filesystem::path sources_file(const std::string& mirror);
// The folder of their daystreams: MIRROR.daystreams.
std::filesystem::path sources_folder(const std::string& mirror);

// Options without a configuration, for a database that has none of the asked tables itself: with
// the configuration that is there, or is made now. Other options stay as they are. Throws what
// find_shards() throws.
UpOptions with_sources_behind(UpOptions options);

}  // namespace deltamirror
