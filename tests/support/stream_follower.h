// The checker of stream_checker.h for a stream that grows while it is watched: each byte is judged
// once, nothing is kept, and so the hundredth look costs what the first did.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "support/stream_checker.h"
#include "support/stream_rules.h"

namespace support {

// Of plain day files. A violation is final.
class StreamFollower {
 public:
  explicit StreamFollower(std::filesystem::path directory) : directory_(std::move(directory)) {}

  // Judges to the end of what there is now; the writer may be at work or was killed. What lies
  // below `sure` (what was synced, which nothing may change any more) in whole transactions is
  // passed for good; what is behind it is judged and comes again.
  std::optional<StreamViolation> advance(const FileSizes& sure);

  std::uint64_t passed_bytes() const noexcept { return passed_bytes_; }  // of all files

 private:
  std::filesystem::path directory_;
  StreamRules rules_;
  std::string file_;  // passed up to offset_; empty: nothing yet
  std::uint64_t offset_ = 0;
  std::uint64_t passed_bytes_ = 0;
};

}  // namespace support
