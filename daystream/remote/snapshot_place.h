// Where snapshots of mirrors are offered: a server's `--snapshots`, or object storage.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daystream/error.h"
#include "daystream/stop.h"
#include "remote/http_client.h"

namespace daystream::remote {

// It offers snapshots, but has none now, or only the one that is known already: another one may
// come.
class NoSnapshot : public NeedsPerson {
 public:
  using NeedsPerson::NeedsPerson;
};

// One that is there, as its place lists it.
struct ListedSnapshot {
  std::string key;
  std::string mirror;      // the stem of its file's name; empty: the place does not say
  std::int64_t taken = 0;  // seconds since 1970
};

struct OfferedSnapshot {
  std::string id;  // SHA-256
  std::uint64_t size_bytes = 0;
  std::string where;  // to be fetched from: for messages
};

// Threads: one.
class SnapshotPlace {
 public:
  SnapshotPlace() = default;
  SnapshotPlace(const SnapshotPlace&) = delete;
  SnapshotPlace& operator=(const SnapshotPlace&) = delete;
  virtual ~SnapshotPlace() = default;

  // All of them, the newest first; never none. Throws NoSnapshot, NeedsPerson where none is ever
  // offered there, what asking throws.
  virtual std::vector<ListedSnapshot> list() = 0;
  // What is needed to fetch it. Throws NeedsPerson where it cannot be fetched.
  virtual OfferedSnapshot offered(const ListedSnapshot& listed) = 0;
  // Gives its bytes from `begin` on to `take`. False: `stop` was requested.
  virtual bool receive(const OfferedSnapshot& snapshot, std::uint64_t begin,
                       const std::function<void(const std::string&)>& take, const Stop& stop) = 0;

  OfferedSnapshot newest() { return offered(list().front()); }
};

// By its address: `http(s)://HOST:PORT/NAME`, `s3://BUCKET/PREFIX`. Throws ConfigError. A new kind
// is a line here.
std::unique_ptr<SnapshotPlace> snapshot_place(const Options& options, const std::string& address,
                                              const Stop& stop);

}  // namespace daystream::remote
