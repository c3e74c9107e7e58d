// The file in which `daystream consume` keeps how far its consumer is: one line,
// `_c SECONDS _s SEQ _lsn LSN _system IDENTIFIER`, tab-separated like all others.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "daystream/lsn.h"
#include "daystream/position.h"
#include "daystream/unique_fd.h"
#include "place.h"

namespace daystream::command {

struct Acknowledged {
  Position position;  // of a commit or mark line
  Lsn lsn;            // that line's
};

// Invariant: whatever is killed when, the file is whole: the old one or the new one.
class ConsumerCheckpoint {
 public:
  // Locks FILE.lock, of the real file where FILE is a symbolic link. A child is to inherit the lock
  // (lock_fd()), so that nobody begins again while a command of before still works on what it was
  // handed. Throws Error where somebody has it.
  explicit ConsumerCheckpoint(const std::filesystem::path& path);
  int lock_fd() const noexcept { return lock_.get(); }
  // Throws NeedsPerson where the checkpoint, or its lock, was moved, deleted or replaced: somebody
  // else may be at work by now. It looks once a second at most; save() looks whenever it is called.
  void check_place() const;

  // nullopt: there is none yet. Throws WrongSource where it is of another cluster than
  // `system_identifier`, NeedsPerson where it is not a checkpoint.
  std::optional<Acknowledged> load(const std::string& system_identifier) const;
  // Returns once it is on disk.
  void save(const Acknowledged& done, const std::string& system_identifier) const;

 private:
  void look_now() const;

  std::filesystem::path path_;
  UniqueFd lock_;
  PlaceWatch lock_place_;
  mutable std::optional<PlaceWatch> place_;  // of what was saved last; nullopt: nothing was yet
  mutable std::chrono::steady_clock::time_point looked_{};
};

}  // namespace daystream::command
