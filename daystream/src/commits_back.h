// Counting transactions from the end.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "daystream/position.h"

namespace daystream {

// The position after which the last `commits` transactions stand; nullopt: there are no more than
// that. Read from the back, so that it costs what it counts. Throws what Reader throws.
std::optional<Position> position_before_last(const std::filesystem::path& source,
                                             std::uint64_t commits);

}  // namespace daystream
