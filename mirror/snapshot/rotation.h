// Which snapshots of a mirror stay.
#pragma once

#include <cstdint>
#include <vector>

#include "program/retention.h"
#include "program/snapshot_name.h"

namespace deltamirror {

using daystream::program::parse_retention;
using daystream::program::parse_snapshot_name;
using daystream::program::Retention;
using daystream::program::snapshot_name;
using daystream::program::SnapshotName;

// Returns which of `times`, which are in any order, need not stay.
std::vector<std::int64_t> superfluous(std::vector<std::int64_t> times, const Retention& keep);

}  // namespace deltamirror
