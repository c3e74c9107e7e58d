// The program that "daystream consume" hands transactions to: its input, and its acknowledgements.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "child.h"
#include "consume_progress.h"
#include "output.h"
#include "program/notify.h"
#include "program/program.h"

namespace daystream::command {

// The command's standard input, and what it says meanwhile: it may be waiting for us to read its
// acknowledgements before it reads on.
//
// Once we are told to stop it has `patience` to be done, then kGrace (Child) after a SIGTERM, then
// it is killed: what it has not acknowledged comes again.
//
// Threads: one.
// Errors:  Error where the command ended before its time, ProtocolError where it acknowledged what
//          it was not handed.
class Consumer : public Output {
 public:
  struct Setup {
    const std::vector<std::string>& command;
    int lock_fd;  // that it inherits
    const program::Signals& signals;
    std::chrono::seconds patience;
    program::Notify& notify;  // that we live, however long the command takes
  };
  // Starts the command. Its acknowledgements go to `progress`, which must outlive this, as must
  // what `setup` refers to.
  Consumer(const Setup& setup, Child::Output output, ConsumeProgress& progress);

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
  bool wait_on(int in, int out);

  std::string name_;
  const program::Signals& signals_;
  program::Notify& notify_;
  std::chrono::seconds patience_;
  std::optional<std::chrono::steady_clock::time_point> next_step_;  // towards its end
  int step_ = 0;
  Child child_;
  ConsumeProgress& progress_;
  std::string heard_;
  bool closed_ = false;
};

}  // namespace daystream::command
