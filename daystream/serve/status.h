// What the server reports of itself: /status and /history, for the page and for people's tools.
#pragma once

#include <cstdint>
#include <string>

#include "serve/access.h"
#include "serve/served.h"

namespace daystream::serve {

struct ServerFacts {
  std::int64_t since = 0;  // seconds since 1970 UTC
  std::uint64_t requests = 0;
  std::uint64_t refused = 0;       // requests that were answered with a refusal
  std::uint64_t failed = 0;        // …with "failed": the log says why
  std::uint64_t disconnected = 0;  // connections that were too many, or too slow to ask
};

// Of each what `grant` lets one see (PROTOCOL.md, "Need to know"): no stream that it does not
// cover; where it is limited to tables, nothing of other followers and of how much there is of
// other tables. From the last samples: none of it reads a file. `has_fleet`: /fleet has more.
std::string status_json(const ServerFacts& facts, const ServedStreams& streams, const Grant& grant,
                        bool has_fleet);
// The last hour of each: what the page draws.
std::string history_json(const ServedStreams& streams, const Grant& grant);

}  // namespace daystream::serve
