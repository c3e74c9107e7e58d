// A snapshot of a mirror from a server's `--snapshots` (PROTOCOL.md, "Snapshots").
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "remote/http_client.h"

namespace daystream::remote {

struct Fetched {
  std::string id;  // SHA-256
  std::uint64_t size_bytes = 0;
  std::uint64_t resumed_at = 0;  // so much of it was there from an earlier try
};

// Puts the newest snapshot of `url` under the name `path`, which must not exist: whole, its SHA-256
// checked, synced; or not at all. What was received of it is kept in PATH.ID.part when it breaks
// off, and used by the next call. Tries again with growing pauses while the server is away.
//
// `stop` is asked now and then, and whenever `wake_fd` is readable; nothing was made then: false.
// Throws NeedsPerson where there is no snapshot, IoError, what Download throws.
bool fetch_newest_snapshot(const Options& options, const Url& url,
                           const std::filesystem::path& path, int wake_fd,
                           const std::function<bool()>& stop, Fetched& fetched);

}  // namespace daystream::remote
