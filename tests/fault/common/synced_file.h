// What a file that is written in place is after the power went.
#pragma once

#include <filesystem>

#include "common/seed.h"

namespace fault {

// Of each 512-byte sector that differs from what was synced, either may be there: the old bytes or
// the new ones; where there were none before, also zeros, and the file may end there. `synced` may
// lead to nothing: none of it was ever synced, but for its name.
void lose_power(const std::filesystem::path& file, const std::filesystem::path& synced,
                Random& random);

}  // namespace fault
