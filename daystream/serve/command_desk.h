// The commands of a fleet at its server: read as people give them, handed to the mirrors that they
// are for, and what became of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "fleet/commands.h"
#include "program/repeats.h"
#include "serve/report_keeper.h"
#include "wake.h"

namespace daystream::serve {

// A directory that cannot be read, or a command that is damaged, is logged, and nobody is asked to
// do what it says; the rest goes on.
//
// Threads: the loop's one.
class CommandDesk {
 public:
  // `fleet`: its directory. `reports` outlives it.
  CommandDesk(const std::filesystem::path& fleet, ReportKeeper& reports);

  // To be called about once a second.
  // True: there are others than before.
  bool look() noexcept;

  // Takes what a mirror says, and returns what it is to be told.
  nlohmann::ordered_json tell(const fleet::MirrorReport& report);
  // The number of the newest that the mirror may begin with; 0: none.
  std::uint64_t newest_for(const std::string& mirror) const;
  std::shared_ptr<const nlohmann::ordered_json> summary(const fleet::FleetView& view) const;

 private:
  void read();

  const fleet::CommandDirectory directory_;
  ReportKeeper& reports_;
  fleet::CommandBook book_;
  std::optional<DurableWatch> watch_;  // once there is such a directory
  program::Repeats troubles_;
};

}  // namespace daystream::serve
