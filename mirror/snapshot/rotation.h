// Snapshots in a directory: how they are named, and which ones stay.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deltamirror {

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

// The name for a snapshot of MIRROR.db taken at `seconds` since 1970: MIRROR-20261121T101504Z.db.
std::string snapshot_name(const std::string& mirror, std::int64_t seconds);
// What such a name says; nullopt: it is not one.
struct SnapshotName {
  std::string stem;      // of the mirror's file: MIRROR
  std::int64_t seconds;  // when it was taken, since 1970
};
std::optional<SnapshotName> parse_snapshot_name(std::string_view name);

// Returns which of `times`, which are in any order, need not stay.
std::vector<std::int64_t> superfluous(std::vector<std::int64_t> times, const Retention& keep);

}  // namespace deltamirror
