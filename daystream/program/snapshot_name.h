// What a snapshot of a mirror is called, in a directory and in object storage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace daystream::program {

// The name for a snapshot of MIRROR.db taken at `seconds` since 1970: MIRROR-20261121T101504Z.db.
std::string snapshot_name(const std::string& mirror, std::int64_t seconds);
// What such a name says; nullopt: it is not one.
struct SnapshotName {
  std::string stem;      // of the mirror's file: MIRROR
  std::int64_t seconds;  // when it was taken, since 1970
};
std::optional<SnapshotName> parse_snapshot_name(std::string_view name);

}  // namespace daystream::program
