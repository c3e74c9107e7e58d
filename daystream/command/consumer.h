// The program that "daystream consume" hands transactions to: its input, and its acknowledgements.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "child.h"
#include "consume_progress.h"
#include "output.h"

namespace daystream::command {

// The command's standard input, and what it says meanwhile: it may be waiting for us to read its
// acknowledgements before it reads on.
//
// Threads: one.
// Errors:  Error where the command ended before its time, ProtocolError where it acknowledged what
//          it was not handed.
class Consumer : public Output {
 public:
  // Starts the command. Its acknowledgements go to `progress`, which must outlive this.
  Consumer(const std::vector<std::string>& command, Child::Output output,
           ConsumeProgress& progress);

  // To wait on; -1: this one acknowledges by its exit code.
  int acknowledgements() const noexcept { return child_.output(); }
  bool closed() const noexcept { return closed_; }

  // Reads what the command has acknowledged by now.
  void hear();
  void wait_for_word(int wake_fd);

  // Gives it no more input, reads what it still acknowledges, and returns how it ended, as
  // Child::wait() does.
  std::string finish();

  // Throws that the command ended `how`, and how much was left to do.
  [[noreturn]] void ended(const std::string& how) const;

 protected:
  void send(std::string_view text) override;

 private:
  void take_lines();

  std::string name_;
  Child child_;
  ConsumeProgress& progress_;
  std::string heard_;
  bool closed_ = false;
};

}  // namespace daystream::command
