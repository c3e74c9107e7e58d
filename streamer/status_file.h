// Keeps status.json, and the metrics file where there is one, up to date from a thread of its own:
// a disk that hangs over a rename must not keep who answers PostgreSQL.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>

#include "src/place.h"
#include "status.h"

namespace deltastream {

// Threads: save() from any one.
class StatusFile {
 public:
  // `metrics`: empty, there is none.
  StatusFile(std::filesystem::path directory, std::filesystem::path metrics);
  StatusFile(const StatusFile&) = delete;
  StatusFile& operator=(const StatusFile&) = delete;
  ~StatusFile();  // once the last one is written

  // Returns at once. The newest counts: one that was not written yet is forgotten.
  void save(Status status);

 private:
  void work();

  const std::filesystem::path directory_;
  const std::filesystem::path metrics_;
  const std::optional<daystream::FileIdentity> ours_;  // what that was at first
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::optional<Status> newest_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace deltastream
