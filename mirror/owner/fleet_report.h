// Tells the server of a fleet how a mirror is (docs/fleet.md#reports).
#pragma once

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
// Threads: one of its own does all of it, so that a server that hangs holds up nobody.
class FleetReport {
 public:
  // `url`: of the configuration; empty: does nothing. `labels`: KEY=VALUE each. `config` and
  // `commands`, which hears what the server answers: nullptr: none. Both outlive it.
  FleetReport(const std::string& url, const std::vector<std::string>& labels, std::string mirror,
              const FleetConfig* config, FleetCommands* commands);
  FleetReport(const FleetReport&) = delete;
  FleetReport& operator=(const FleetReport&) = delete;

 private:
  void run(const std::stop_token& stop);

  std::string url_;
  std::string mirror_;
  std::vector<std::string> labels_;
  const FleetConfig* const config_;
  FleetCommands* const commands_;
  const daystream::WakeFd ending_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace deltamirror
