// Tells the server of a fleet how a mirror is (docs/fleet.md#reports).
#pragma once

#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "config/fleet_config.h"
#include "daystream/stop.h"
#include "owner/fleet_commands.h"
#include "src/waiting.h"

namespace deltamirror {

// At once when something has changed that matters, and again and again when nothing has, so that a
// host that is gone is missed. A report that does not arrive is forgotten: the next one says all.
//
// A mirror that this process is about to own is not reported yet: who hears that nobody owns it
// would look for a process that is there.
//
// Threads: one of its own does all of it, so that a server that hangs holds up nobody; waits_for()
// is for any.
class FleetReport {
 public:
  // `url`: of the configuration; empty: does nothing. `labels`: KEY=VALUE each. `config` and
  // `commands`, which hears what the server answers: nullptr: none. Both outlive it.
  FleetReport(const std::string& url, const std::vector<std::string>& labels, std::string mirror,
              const FleetConfig* config, FleetCommands* commands);
  FleetReport(const FleetReport&) = delete;
  FleetReport& operator=(const FleetReport&) = delete;

  // Why this process does not own the mirror yet, and tries again.
  void waits_for(std::string reason);

 private:
  void run(const std::stop_token& stop);
  std::optional<nlohmann::ordered_json> look() const;
  std::string reason() const;

  std::string url_;
  std::string mirror_;
  std::vector<std::string> labels_;
  const FleetConfig* const config_;
  FleetCommands* const commands_;
  const daystream::WakeFd ending_;
  mutable std::mutex mutex_;
  std::string waits_for_;  // with the lock; empty: nothing
  std::jthread thread_;    // last: it uses the others
};

}  // namespace deltamirror
