// A snapshot of a mirror, from where it is offered (snapshot_place.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "daystream/stop.h"
#include "remote/http_client.h"
#include "remote/snapshot_place.h"

namespace daystream::remote {

struct Fetched {
  std::string id;  // SHA-256
  std::uint64_t size_bytes = 0;
  std::uint64_t resumed_at = 0;  // so much of it was there from an earlier try
};

// The id of the newest at `address`. Throws what SnapshotPlace::newest() throws.
std::string newest_snapshot(const Options& options, const std::string& address, const Stop& stop);

// Puts the newest snapshot at `address` under the name `path`, which must not exist: whole, its
// SHA-256 checked, synced; or not at all. What was received of it is kept in PATH.ID.part when it
// breaks off, and used by the next call. Tries again with growing pauses while the place is away.
// One with the id `known` is not fetched.
//
// False: `stop` was requested, and nothing was made.
// Throws NoSnapshot, NeedsPerson where none is offered, IoError.
bool fetch_newest_snapshot(const Options& options, const std::string& address,
                           const std::filesystem::path& path, const Stop& stop, Fetched& fetched,
                           const std::string& known = {});

// The same of one that was listed there.
bool fetch_snapshot(SnapshotPlace& place, const ListedSnapshot& listed,
                    const std::filesystem::path& path, const Stop& stop, Fetched& fetched);

}  // namespace daystream::remote
