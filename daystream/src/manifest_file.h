// Reading and replacing daystream.json by way of a Dir.
#pragma once

#include "daystream/manifest.h"
#include "dir.h"

namespace daystream {

Manifest load_manifest(Dir& dir);
// `path` and `directory` are for messages.
Manifest parse_manifest(const std::string& text, const std::string& path,
                        const std::string& directory);
void save_manifest(Dir& dir, const Manifest& manifest);

}  // namespace daystream
