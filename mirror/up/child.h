// A child program that ends with its parent.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "daystream/unique_fd.h"

namespace deltamirror {

// Ownership: the destructor asks the child to end (SIGTERM) and waits for it. Should we be killed,
//            the kernel sends the SIGTERM.
class Child {
 public:
  explicit Child(const std::vector<std::string>& argv);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  // Readable once the child has ended.
  int fd() const noexcept { return pidfd_.get(); }
  // Its exit code, 128 + the signal that ended it; nullopt: it runs.
  std::optional<int> exit_code();

 private:
  pid_t pid_ = -1;
  daystream::UniqueFd pidfd_;
  std::optional<int> exit_code_;
};

// One of our programs: beside this one, or as a build folder has them, else by PATH.
std::string find_program(const std::string& name);

}  // namespace deltamirror
