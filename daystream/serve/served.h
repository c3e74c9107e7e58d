// A daystream, and all who have to do with it.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "serve/copies.h"
#include "serve/follower.h"
#include "serve/served_stream.h"

namespace daystream::serve {

struct Served {
  std::unique_ptr<ServedStream> stream;
  Copies copies;
  std::list<std::unique_ptr<Follower>> followers;
  std::uint64_t sent_bytes = 0;  // to followers that have gone
};
using ServedStreams = std::map<std::string, Served>;  // by name

}  // namespace daystream::serve
