// Waits until a mirror has come to a place in PostgreSQL's log, or to a time: to read what one has
// written.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "daystream/lsn.h"
#include "program/program.h"

namespace deltamirror {

// What to wait for: all that is given.
struct WaitGoal {
  std::optional<daystream::Lsn> lsn;
  std::string time;    // as Checkpoint::complete_to; empty: none
  std::string source;  // of a mirror of several; empty: all of them, which an LSN does not go with

  std::string text() const;  // in words
};

// False: `timeout` passed first, or a stop was requested. Sleeps until the mirror commits, as
// inotify on its files tells, and looks once a second besides.
bool wait_for(const std::string& mirror, const WaitGoal& goal,
              std::optional<std::chrono::milliseconds> timeout,
              const daystream::program::Signals& signals);

}  // namespace deltamirror
