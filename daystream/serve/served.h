// A daystream, and all who have to do with it.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "serve/copies.h"
#include "serve/follower.h"
#include "serve/history.h"
#include "serve/served_stream.h"
#include "serve/snapshots.h"

namespace daystream::serve {

struct Served {
  std::unique_ptr<ServedStream> stream;
  Copies copies;
  std::unique_ptr<Snapshots> snapshots;  // nullptr: none are served
  std::list<std::unique_ptr<Follower>> followers;
  std::list<std::unique_ptr<Follower>> downloads;  // of snapshots
  std::uint64_t sent_bytes = 0;                    // to followers that have gone
  History history;
  std::uint64_t sampled_bytes = 0;  // grown_bytes() at its last step
};
using ServedStreams = std::map<std::string, Served>;  // by name

}  // namespace daystream::serve
