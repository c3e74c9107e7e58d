// What the server tells of itself: /status for people's tools, /metrics for Prometheus.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "serve/served.h"

namespace daystream::serve {

struct ServerFacts {
  std::int64_t since = 0;  // seconds since 1970 UTC
  std::uint64_t requests = 0;
  std::uint64_t refused = 0;       // requests that were answered with a refusal
  std::uint64_t failed = 0;        // …with "failed": the log says why
  std::uint64_t disconnected = 0;  // connections that were too many, or too slow to ask
};

// Only streams that `may_see` says yes to.
using MaySee = std::function<bool(const std::string& stream)>;

std::string status_json(const ServerFacts& facts, ServedStreams& streams, const MaySee& may_see);
// The last hour of each: what the page draws.
std::string history_json(ServedStreams& streams, const MaySee& may_see);
std::string metrics_text(const ServerFacts& facts, ServedStreams& streams, const MaySee& may_see);

}  // namespace daystream::serve
