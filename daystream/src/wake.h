// Sleeping until a Writer has made more durable: inotify on `durable`.
#pragma once

#include <chrono>
#include <filesystem>

#include "daystream/unique_fd.h"

namespace daystream {

class DurableWatch {
 public:
  explicit DurableWatch(const std::filesystem::path& directory);

  // Sleeps until `durable` was touched since the last call, `wake_fd` (-1: none) is readable or
  // the time is over. True: touched. The first call is always true: what happened before the watch
  // began is not known.
  bool wait(std::chrono::milliseconds timeout, int wake_fd);

  // Readable when wait() would not sleep: for a loop of the caller's own.
  int fd() const noexcept { return inotify_.get(); }

 private:
  void watch_file();
  bool drain();

  std::filesystem::path directory_;
  UniqueFd inotify_;
  int file_watch_ = -1;
  bool first_ = true;
};

}  // namespace daystream
