// Sleeping until a Writer has made more durable: inotify on `durable`.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "daystream/unique_fd.h"

namespace daystream {

// Where the system has no more inotify to give, it looks once a second instead, and tries again to
// get one each time: readers are not to end for what others use up.
class DurableWatch {
 public:
  // Instead of the name of one file: any that is made in the directory, or replaced.
  static constexpr const char* kAnyName = "";

  explicit DurableWatch(const std::filesystem::path& directory);
  // The same of another file than `durable`.
  DurableWatch(const std::filesystem::path& directory, std::string name);

  // Sleeps until `durable` was touched since the last call, `wake_fd` (-1: none) is readable or
  // the time is over. True: touched. The first call is always true: what happened before the watch
  // began is not known.
  bool wait(std::chrono::milliseconds timeout, int wake_fd);

  // How often it looks where nothing can wake it.
  static constexpr std::chrono::milliseconds kBetweenLooks{1000};
  // Readable when wait() would not sleep: for a loop of the caller's own. -1: nothing says so, and
  // the caller looks every kBetweenLooks.
  int fd() const noexcept { return inotify_.get(); }

 private:
  bool begin();
  void watch_file();
  bool look_by_the_clock(std::chrono::milliseconds timeout, int wake_fd) const;
  bool drain();

  std::filesystem::path directory_;
  std::string name_;
  UniqueFd inotify_;
  int file_watch_ = -1;
  bool watching_ = false;  // false: there was no inotify to be had
  bool first_ = true;
};

}  // namespace daystream
