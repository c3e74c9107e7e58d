// One owner: flock on a file, which also names its holder.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "daystream/unique_fd.h"

namespace daystream {

struct LockHolder {
  int pid = 0;  // 0: nothing readable
  std::string host;
  std::string program;
  std::string since;
  std::string called;  // the path by which it names what it holds; empty: not known

  // deltastream (pid 123 on stream1, as "/srv/prod", since …); another process.
  std::string text() const;
};

// What is locked, for whom it is refused.
struct LockRequest {
  std::string what;              // daystream, mirror, checkpoint
  std::filesystem::path called;  // by the one who asks
  std::string hint;              // what to do where somebody has it
};

// Takes the lock of an open file or directory, called `file`; false: somebody else has it.
bool try_lock(int fd, const std::filesystem::path& file);
// Takes the lock of `file`, which is made, until the last duplicate of the descriptor is closed
// (the kernel does so when a process dies), and writes into it who has it. The file stays, as
// others may be waiting on it. Throws Error naming the holder, as `daystream "x" is in use by …`.
UniqueFd lock_file(const std::filesystem::path& file, const LockRequest& request);
// What the last holder wrote; `{}` where there is nothing readable.
LockHolder lock_holder(const std::filesystem::path& file);
// The process that has the lock of `file` now, by the kernel's list: to try the lock could get in
// the way of one that is about to take it. 0: none; nullopt: that cannot be known here.
std::optional<int> lock_owner(const std::filesystem::path& file);
// Whether somebody has the lock of `file` now.
bool is_locked(const std::filesystem::path& file);

// One Writer per daystream: the lock of its file `lock`.
UniqueFd lock_directory(const std::filesystem::path& directory);
// Who writes it right now: "deltastream (pid 123 on stream1, since …)"; nullopt: nobody on this
// machine.
std::optional<std::string> writer_of(const std::filesystem::path& directory);

}  // namespace daystream
