// One Writer per daystream: flock on the file `lock`, which also says who holds it.
#pragma once

#include <filesystem>
#include <string>

#include "daystream/unique_fd.h"

namespace daystream {

// Takes the lock until the descriptor is closed (the kernel does so when a process dies). Throws
// Error naming the holder.
UniqueFd lock_directory(const std::filesystem::path& directory);

// What the last holder wrote: "deltastream (pid 123 on stream1, since …)"; empty: nothing readable.
std::string lock_holder(const std::filesystem::path& directory);

}  // namespace daystream
