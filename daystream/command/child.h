// A program that a command starts and feeds.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "daystream/unique_fd.h"

namespace daystream::command {

// It gets its pipes, our standard output or error, and nothing else that we have open, but
// `inherited`; our environment without our secret (DAYSTREAM_TOKEN).
//
// Ownership: a child that was not waited for is asked to end (SIGTERM) by the destructor, which
// waits until it has, and after kGrace makes it end.
class Child {
 public:
  enum class Output { Ours, Pipe };
  static constexpr std::chrono::seconds kGrace{5};

  // Starts `argv`, found as the shell finds it, with a pipe as its standard input. `inherited`: a
  // descriptor that it has as 3; -1: none. Throws Error where it cannot be started.
  Child(const std::vector<std::string>& argv, Output output, int inherited);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  int input() const noexcept { return input_.get(); }    // to write to; does not block
  int output() const noexcept { return output_.get(); }  // to read from; does not block
  void close_input() noexcept { input_.reset(); }

  // Readable once it has ended.
  int end() const noexcept { return end_.get(); }
  bool has_ended() const;
  void signal(int number) const noexcept;

  // Waits for its end. Empty: it ended with exit code 0; else how: "with exit code 1".
  std::string wait();

 private:
  pid_t pid_ = -1;
  UniqueFd end_;
  UniqueFd input_;
  UniqueFd output_;
};

}  // namespace daystream::command
