// Whether a stream and its copies are alive, by what the server sees and hears: the one judgement
// that /healthz/streams, /status, /metrics and the page share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "program/stream_health.h"
#include "serve/copies.h"
#include "serve/served.h"

namespace daystream::serve {

// A relay, which has no status of its own, gets a mark about every 10 s even of an idle server.
constexpr std::int64_t kStreamSilentS = 45;
// A mirror reports at least every 1.5 s, a relay every 4 s.
constexpr std::int64_t kCopySilentS = 10;

using program::StreamHealth;

// `durable_s`: when the last durable line began to arrive; nullopt: there is none. `now` is seconds
// since 1970. Asks nobody: pure.
StreamHealth stream_health(const StreamSample& sample, std::optional<std::int64_t> durable_s,
                           std::int64_t now);
StreamHealth stream_health(const Served& served, std::int64_t now);
program::StreamFacts stream_facts(const std::string& name, const Served& served, std::int64_t now);

// For who reports a copy, as JSON. Since when it is so is one time for one trouble, whatever its
// words count. `says_why`: else whether it is well, which /healthz/streams tells everybody.
std::string health_json(const StreamHealth& health, bool says_why);

// What is wrong with a copy; empty: nothing. It is silent, or says itself what it waits for.
std::string copy_trouble(const Copy& copy, std::int64_t now);
// How old what the copy has is, in milliseconds: 0 if it has all that is durable, whatever it said
// last; longer than it said where it has been silent or stood still since.
std::int64_t copy_lag_ms(const Copy& copy, const std::optional<Durable>& durable, std::int64_t now);

}  // namespace daystream::serve
