// A snapshot of a mirror from a server's `--snapshots` (PROTOCOL.md, "Snapshots").
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "daystream/error.h"
#include "daystream/stop.h"
#include "remote/http_client.h"

namespace daystream::remote {

struct Fetched {
  std::string id;  // SHA-256
  std::uint64_t size_bytes = 0;
  std::uint64_t resumed_at = 0;  // so much of it was there from an earlier try
};

// The server offers snapshots, but has none now, or only the one that is known already: another one
// may come.
class NoSnapshot : public NeedsPerson {
 public:
  using NeedsPerson::NeedsPerson;
};

// The id of the newest. Throws NoSnapshot, NeedsPerson where the server offers none, what request()
// throws.
std::string newest_snapshot(const Options& options, const Url& url);

// Puts the newest snapshot of `url` under the name `path`, which must not exist: whole, its SHA-256
// checked, synced; or not at all. What was received of it is kept in PATH.ID.part when it breaks
// off, and used by the next call. Tries again with growing pauses while the server is away. One
// with the id `known` is not fetched.
//
// False: `stop` was requested, and nothing was made.
// Throws NoSnapshot, NeedsPerson where the server offers none, IoError, what Download throws.
bool fetch_newest_snapshot(const Options& options, const Url& url,
                           const std::filesystem::path& path, const Stop& stop, Fetched& fetched,
                           const std::string& known = {});

}  // namespace daystream::remote
