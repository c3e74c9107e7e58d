// Reading and replacing daystream.json by way of a Dir.
#pragma once

#include "daystream/manifest.h"
#include "dir.h"

namespace daystream {

Manifest load_manifest(Dir& dir);
void save_manifest(Dir& dir, const Manifest& manifest);

}  // namespace daystream
