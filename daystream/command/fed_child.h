// A program that a command starts and feeds.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "daystream/unique_fd.h"
#include "program/child.h"

namespace daystream::command {

// It gets its pipes, our standard output or error, and nothing else that we have open, but
// `inherited`; our environment without our secret (DAYSTREAM_TOKEN).
//
// Ownership: of the process as program::Child has it, which closes the pipes before it asks for the
// end, and kills after kGrace.
class FedChild {
 public:
  enum class Output { Ours, Pipe };
  static constexpr std::chrono::seconds kGrace{5};

  // Starts `argv`, found as the shell finds it, with a pipe as its standard input. `inherited`: a
  // descriptor that it has as 3; -1: none. `environment`: NAME=VALUE, beside ours. Throws Error
  // where it cannot be started.
  FedChild(const std::vector<std::string>& argv, Output output, int inherited,
           const std::vector<std::string>& environment = {});

  int input() const noexcept { return input_.get(); }    // to write to; does not block
  int output() const noexcept { return output_.get(); }  // to read from; does not block
  void close_input() noexcept { input_.reset(); }

  // Readable once it has ended.
  int end() const noexcept { return process_->fd(); }
  bool has_ended() { return process_->end().has_value(); }
  void signal(int number) const noexcept { process_->signal(number); }

  // Waits for its end. Empty: it ended with exit code 0; else how: "with exit code 1".
  std::string wait();

 private:
  std::optional<program::Child> process_;  // first: ends last, when its pipes are closed
  UniqueFd input_;
  UniqueFd output_;
};

}  // namespace daystream::command
