// What the commands (deltastream, daystream, deltamirror) have in common: how they log, how they
// end, and how they hear signals. Not part of the installed library.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "daystream/error.h"
#include "daystream/stop.h"
#include "daystream/unique_fd.h"

namespace daystream::program {

struct LogOptions {
  std::string level = "info";   // error, warn, info, debug
  std::string format = "text";  // text, json
  std::string source = {};      // that each line names first; empty: none
};

// Log lines go to standard error: `2026-11-21 10:15:04.123Z INFO deltastream: …`. Through spdlog's
// default logger, so that callers write spdlog::info(…).
void start_log(const std::string& program, const LogOptions&);

// Where the error that this program ends with is written as well, if any, for the program that has
// started it: its text, and its hint, each on a line. A file, as /dev/fd/4; empty: nowhere.
void set_last_words(const std::string& file);

// Runs `body` and turns how it ends into an exit code: an Error is reported once, as one line and a
// `HINT: ` line (in a JSON log: as one of its lines), with its own exit code; CLI11's help and
// version end with 0, its errors with `PROGRAM: what`, `Try "PROGRAM --help" for more information.`
// and 2. SIGPIPE and SIGXFSZ are ignored; EPIPE on standard output ends with 0. Whatever file is
// made in it, others than owner and group may not read it, and the group not write it.
int run(const std::string& program, const std::function<int()>& body) noexcept;

// While it lives, the umask is the one that the program was started with, for a child that is not
// ours to restrict. While no other thread makes files.
class GivenUmask {
 public:
  GivenUmask() noexcept;
  GivenUmask(const GivenUmask&) = delete;
  GivenUmask& operator=(const GivenUmask&) = delete;
  ~GivenUmask();

 private:
  mode_t ours_;
};

// SIGTERM and SIGINT ask for an end, SIGHUP for a reload. One per process, made before threads.
class Signals {
 public:
  Signals();
  bool stop_requested() const noexcept;
  // The same for what knows nothing of signals. Its descriptor says nothing of a reload.
  Stop stop() const;
  // As a SIGTERM does, from within.
  void request_stop() noexcept;
  // A signal has asked for an end, and not only request_stop().
  bool was_sent_stop() const noexcept;
  bool take_reload() noexcept;  // true once for each SIGHUP since the last call
  int fd() const noexcept;      // readable once a signal has come: for poll(); drained by clear()
  void clear() noexcept;
};

}  // namespace daystream::program
