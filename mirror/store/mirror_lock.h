// One owner: a process that writes to a mirror holds its lock as long as it does.
#pragma once

#include <optional>
#include <string>

#include "daystream/unique_fd.h"
#include "src/place.h"

namespace deltamirror {

// Two locks, as a mirror is a file and not a name: that of MIRROR.db.lock, which says who has it
// and is there before the mirror is, and one on the file itself, which a hard link or a bind mount
// of it does not get around.
//
// Ownership: holds both until destroyed. MIRROR.db.lock stays, as others may be waiting on it.
// Lifetime:  outlives every Database of the mirror in this process: closing any descriptor of the
//            file ends SQLite's locks on it, which are the process's.
class MirrorLock {
 public:
  // Throws Error naming the holder's process, and what it calls the mirror, where there is one.
  // Where the file is no mirror, NeedsPerson: nothing of it, or beside it, is changed.
  explicit MirrorLock(const std::string& mirror);
  // Takes the lock file away with the lock: for a seed that came to nothing.
  void remove_file() noexcept;
  // The file that is locked; nullopt: there was none yet.
  const std::optional<daystream::FileIdentity>& file() const noexcept { return file_; }

  // The holder's process id; 0: nobody holds it.
  static int holder(const std::string& mirror);

 private:
  std::string path_;
  daystream::UniqueFd fd_;
  daystream::UniqueFd mirror_;
  std::optional<daystream::FileIdentity> file_;
};

}  // namespace deltamirror
