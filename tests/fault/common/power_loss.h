// What a daystream is after the power went: only what was synced is sure to be there.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "common/seed.h"
#include "support/fault_preload.h"
#include "support/stream_checker.h"

namespace fault {

// Knows from a log of syncs, kept outside the program, how much of each day file was on disk.
class PowerLoss {
 public:
  PowerLoss(const std::filesystem::path& directory,
            const std::vector<support::FaultPreload::Sync>& syncs);

  const support::FileSizes& synced_sizes() const noexcept { return sizes_; }
  // The stream as far as it was synced.
  support::StreamContent durable_content() const;
  // Of its first mark, also if even that was not synced: where the slot stood when it was made.
  std::uint64_t first_lsn() const;

  // Damages what was not synced, in place: each 512-byte sector of it is kept, zeroed or lost, and
  // `durable`, which is never synced, is kept, zeroed or lost.
  void strike(Random&) const;

 private:
  std::filesystem::path directory_;
  support::FileSizes sizes_;
};

}  // namespace fault
