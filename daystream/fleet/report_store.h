// The reports of a fleet's mirrors on disk, DIR/reports/reports.db: so that a server that starts
// again knows whom to miss, and what became of each. What is lost of it mirrors say again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "fleet/reports.h"

namespace daystream::fleet {

// Threads: any.
class ReportStore {
 public:
  static constexpr const char* kFolder = "reports";
  static constexpr std::size_t kMostEvents = 100;  // that are kept of each mirror

  // `directory`: the fleet's.
  explicit ReportStore(const std::filesystem::path& directory);

  bool exists() const;
  // Makes it where there is none. Throws Error.
  void open_for_writing();
  // These throw Error where there is none, or none that can be read.
  MirrorReports load() const;
  std::vector<ReportEvent> events(const std::string& mirror) const;  // the oldest first
  program::CommandOutcomes outcomes() const;
  // Returns the mirrors that somebody has forgotten meanwhile, each with when. Throws Error.
  using Forgotten = std::vector<std::pair<std::string, std::int64_t>>;
  Forgotten save(const ReportBatch& batch);
  // By another process than the server's, which hears of it. Throws Error.
  void forget(const std::string& mirror, std::int64_t now);

 private:
  const std::filesystem::path file_;
  std::mutex writing_;
};

}  // namespace daystream::fleet
