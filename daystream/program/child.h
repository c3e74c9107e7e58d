// A process that we have started, whatever the way, until its end.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

#include "daystream/unique_fd.h"

namespace daystream::program {

struct ChildEnd {
  int exit_code = 0;
  int signal = 0;  // that ended it; 0: it ended by itself

  bool is_good() const noexcept { return exit_code == 0 && signal == 0; }
  std::string text() const;  // "with exit code 1", "by signal 9"
};

// Ownership: the destructor asks it to end (SIGTERM) and waits until it has. After `grace`, if it
// is
//            given one, it is killed.
// Threads:   one.
class Child {
 public:
  using Grace = std::optional<std::chrono::seconds>;

  // `pid`: what fork() or posix_spawn() gave, for nobody else to wait for. Throws IoError, and the
  // process is ended then.
  Child(pid_t pid, Grace grace);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  pid_t pid() const noexcept { return pid_; }
  // Readable once it has ended.
  int fd() const noexcept { return pidfd_.get(); }
  void signal(int number) const noexcept;
  // nullopt: it runs.
  std::optional<ChildEnd> end() noexcept;
  // Waits for its end.
  ChildEnd wait() noexcept;

 private:
  void reap(int flags) noexcept;

  const pid_t pid_;
  const Grace grace_;
  UniqueFd pidfd_;
  std::optional<ChildEnd> end_;
};

}  // namespace daystream::program
