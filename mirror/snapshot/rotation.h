// Which snapshots of a mirror stay.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "program/snapshot_name.h"

namespace deltamirror {

using daystream::program::parse_snapshot_name;
using daystream::program::snapshot_name;
using daystream::program::SnapshotName;

// How many stay: the newest of each of the last `hourly` hours in which there is one, and so on.
// Weeks are ISO 8601's, all in UTC. The newest of all always stays.
struct Retention {
  unsigned last = 0;
  unsigned hourly = 0;
  unsigned daily = 0;
  unsigned weekly = 0;
  unsigned monthly = 0;
};

// `24h,7d,4w,12m`; a number alone is `last`. nullopt: not one, or nothing would be kept.
std::optional<Retention> parse_retention(std::string_view text);

// Returns which of `times`, which are in any order, need not stay.
std::vector<std::int64_t> superfluous(std::vector<std::int64_t> times, const Retention& keep);

}  // namespace deltamirror
