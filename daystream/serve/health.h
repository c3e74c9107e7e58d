// Whether a stream and its copies are alive, by what the server sees and is told: the one judgement
// that /healthz/streams, /status, /metrics and the page share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "serve/copies.h"
#include "serve/served.h"

namespace daystream::serve {

// A deltastream replaces its status every 5 s, also while it waits; one that has not for this long
// hangs or is gone, whatever it said last.
constexpr std::int64_t kStreamerSilentS = 15;
// A relay, which has no status of its own, gets a mark about every 10 s even of an idle server.
constexpr std::int64_t kStreamSilentS = 45;
// A mirror or relay tells of itself at least every 10 s.
constexpr std::int64_t kCopySilentS = 30;

struct StreamHealth {
  std::string trouble;       // what is wrong, for a person; empty: nothing
  std::int64_t heard_s = 0;  // when it was last known to be well, since 1970; 0: never
  // What a deltastream here told of itself less than kStreamerSilentS ago; nullptr: nothing.
  std::shared_ptr<const nlohmann::ordered_json> fresh;
  bool has_streamer = false;  // a deltastream writes, or wrote, here

  bool is_well() const noexcept { return trouble.empty(); }
};
// `durable_s`: when the last durable line began to arrive; nullopt: there is none. `now` is seconds
// since 1970. Asks nobody: pure.
StreamHealth stream_health(const StreamSample& sample, std::optional<std::int64_t> durable_s,
                           std::int64_t now);
StreamHealth stream_health(const Served& served, std::int64_t now);

// What is wrong with a copy of a stream that is durable up to `durable`; empty: nothing. It is
// silent, or so late that people should know.
std::string copy_trouble(const Copy& copy, std::int64_t now);
// How old what the copy has is, in milliseconds: 0 if it has all that is durable, whatever it said
// last; longer than it said where it has been silent since.
std::int64_t copy_lag_ms(const Copy& copy, const std::optional<Durable>& durable, std::int64_t now);

}  // namespace daystream::serve
