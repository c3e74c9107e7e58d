// A program that a command starts and feeds.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "daystream/unique_fd.h"

namespace daystream::command {

// Ownership: a child that was not waited for is asked to end (SIGTERM) by the destructor, which
// waits until it has.
class Child {
 public:
  enum class Output { Ours, Pipe };

  // Starts `argv`, found as the shell finds it, with a pipe as its standard input. Throws Error
  // where it cannot be started.
  Child(const std::vector<std::string>& argv, Output output);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  int input() const noexcept { return input_.get(); }    // to write to; does not block
  int output() const noexcept { return output_.get(); }  // to read from; does not block
  void close_input() noexcept { input_.reset(); }

  // Waits for its end. Empty: it ended with exit code 0; else how: "with exit code 1".
  std::string wait();

 private:
  pid_t pid_ = -1;
  UniqueFd input_;
  UniqueFd output_;
};

}  // namespace daystream::command
