// Keeps status.json, and the metrics file where there is one, up to date from a thread of its own:
// a disk that hangs in a rename must not hold up the loop that answers PostgreSQL.
#pragma once

#include <filesystem>
#include <optional>
#include <thread>
#include <utility>

#include "program/handover.h"
#include "program/metrics_file.h"
#include "src/place.h"
#include "status/status.h"

namespace deltastream {

// Threads: save() from any one. The destructor returns once the last one is written.
class StatusFile {
 public:
  // `metrics`: empty, there is none.
  StatusFile(std::filesystem::path directory, std::filesystem::path metrics);
  StatusFile(const StatusFile&) = delete;
  StatusFile& operator=(const StatusFile&) = delete;

  // Returns at once. The newest counts: one that was not written yet is forgotten.
  void save(Status status) { newest_.put(std::move(status)); }

 private:
  void write(const Status& status);

  const std::filesystem::path directory_;
  daystream::program::MetricsTarget metrics_;
  const std::optional<daystream::FileIdentity> ours_;  // what that was at first
  daystream::program::Mailbox<Status> newest_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace deltastream
