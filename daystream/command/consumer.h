// The program that "daystream consume" hands transactions to: its input, and its acknowledgements.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "consume_progress.h"
#include "daystream/error.h"
#include "daystream/stop.h"
#include "fed_child.h"
#include "output.h"

namespace daystream::command {

// The command ended before it was done, or did not go on.
class CommandFailed : public Error {
 public:
  using Error::Error;
};
// It acknowledged what it was not handed.
class WrongAcknowledgement : public CommandFailed {
 public:
  using CommandFailed::CommandFailed;
};

// The part of the program that has started a command and waits for its work.
class Employer {
 public:
  virtual ~Employer() = default;

  virtual const Stop& stop_request()
      const = 0;             // no more is handed over, and the command is to end
  virtual void alive() = 0;  // is called once a second, or more often
  // It has read, acknowledged, or said that it is still at work.
  virtual void worked() {}
  // Whether it is to be killed now, without time to end.
  virtual bool gives_up() const { return false; }
};

// The command's standard input, and what it says meanwhile: it may be waiting for us to read its
// acknowledgements before it reads on.
//
// Once a stop is asked for, it has `patience` to be done, then kGrace (FedChild) after a SIGTERM,
// then it is killed: what it has not acknowledged comes again.
//
// Threads: one.
// Errors:  CommandFailed, WrongAcknowledgement.
class Consumer : public Output {
 public:
  struct Setup {
    const std::vector<std::string>& command;
    int lock_fd;  // that it inherits; -1: none
    Employer& employer;
    std::chrono::seconds patience;
    std::vector<std::string> environment = {};  // NAME=VALUE, for it alone
  };
  // Starts the command. Its acknowledgements go to `progress`, which must outlive this, as must
  // what `setup` refers to.
  Consumer(const Setup& setup, FedChild::Output output, ConsumeProgress& progress);

  // To wait on; -1: this one acknowledges by its exit code.
  int acknowledgements() const noexcept { return child_.output(); }
  bool closed() const noexcept { return closed_; }

  // Reads what the command has acknowledged by now.
  void hear();
  void wait_for_word(int wake_fd);

  // Gives it no more input, reads what it still acknowledges, and returns how it ended, as
  // FedChild::wait() does.
  std::string finish();

  // Kills it where its employer gives it up, and throws CommandFailed.
  void kill_if_given_up();

  // Throws CommandFailed: it ended `how`, and how much was left to do.
  [[noreturn]] void ended(const std::string& how) const;

 protected:
  void send(std::string_view text) override;

 private:
  void take_lines();
  bool wait_on(int in, int out);

  std::string name_;
  Employer& employer_;
  std::chrono::seconds patience_;
  std::optional<std::chrono::steady_clock::time_point> next_step_;  // towards its end
  int step_ = 0;
  FedChild child_;
  ConsumeProgress& progress_;
  std::string heard_;
  bool closed_ = false;
};

}  // namespace daystream::command
