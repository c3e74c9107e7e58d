// One owner: whoever writes to a mirror holds the lock of MIRROR.db.lock as long as it does.
#pragma once

#include <string>

#include "daystream/unique_fd.h"

namespace deltamirror {

// Ownership: holds the lock until destroyed. The file stays, as others may be waiting on it.
class MirrorLock {
 public:
  // Throws Error naming the holder's process where there is one.
  explicit MirrorLock(const std::string& mirror);
  // Takes the lock file away with the lock: for a seed that came to nothing.
  void remove_file() noexcept;

  // The holder's process id as the lock file tells it; 0: nobody holds it.
  static int holder(const std::string& mirror);

 private:
  std::string path_;
  daystream::UniqueFd fd_;
};

}  // namespace deltamirror
