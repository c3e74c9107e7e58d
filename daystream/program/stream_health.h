// Whether a stream is written, and will be, by what its deltastream reports of itself in
// status.json: the one judgement that `deltastream status`, its metrics, `daystream serve` and its
// page share.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daystream/lsn.h"
#include "daystream/position.h"

namespace daystream {
class Dir;
}

namespace daystream::program {

class MetricsText;

// A deltastream replaces its status every 5 s, also while it waits; one that has not for this long
// hangs or is gone, whatever it said last.
constexpr std::int64_t kStreamerSilentS = 10;

struct StreamHealth {
  std::string trouble;       // what is wrong, for a person; empty: nothing
  std::string hint;          // what to do about it; empty: nothing, or nobody knows
  std::int64_t heard_s = 0;  // when it was last known to be well, since 1970; 0: never
  std::int64_t since_s = 0;  // since when it is as it is; 0: not known
  // What a deltastream here reported less than kStreamerSilentS ago; nullptr: nothing.
  std::shared_ptr<const nlohmann::ordered_json> fresh;
  std::int64_t pid = 0;       // of the deltastream that said it; 0: not known
  bool has_streamer = false;  // a deltastream writes, or wrote, here
  bool needs_person = false;  // it will not go on by itself
  bool is_written = true;     // trouble may also be what will keep it from being so

  bool is_well() const noexcept { return trouble.empty(); }
  // Trouble, since when, and what to do, on one line; empty: it is well.
  std::string text() const;
};

// `told`: status.json, which may hold anything. `now`: seconds since 1970. Asks nobody: pure.
StreamHealth streamer_health(std::shared_ptr<const nlohmann::ordered_json> told, std::int64_t now);

// status.json of the daystream in `dir`, for streamer_health(); nullptr: no deltastream writes
// there, or what is there makes no sense. Throws what reading throws.
std::shared_ptr<const nlohmann::ordered_json> read_streamer_status(Dir& dir);

struct StreamFacts {
  std::string name;
  std::optional<Position> durable;  // nullopt: nothing is
  Lsn lsn;                          // of that
  StreamHealth health;
};
// The families about streams, the same ones wherever they are written.
void add_durable_metrics(MetricsText& out, const std::vector<StreamFacts>& streams);
void add_streamer_metrics(MetricsText& out, const std::vector<StreamFacts>& streams);

}  // namespace daystream::program
