// What the server reports to Prometheus, at /metrics.
#pragma once

#include <string>

#include "fleet/reports.h"
#include "serve/status.h"

namespace daystream::serve {

// In the text format of Prometheus, by its conventions: base units, times as _timestamp_seconds.
// What is not known now has no line, so that no old number passes for a new one. Of each stream
// what `grant` lets one see (PROTOCOL.md, "Need to know").
// `fleet`: nullptr: there is none.
std::string metrics_text(const ServerFacts& facts, const ServedStreams& streams, const Grant& grant,
                         const fleet::FleetView* fleet);

}  // namespace daystream::serve
