// Waits until a mirror has come to a place in PostgreSQL's log: to read what one has written.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "daystream/lsn.h"
#include "program/program.h"

namespace deltamirror {

// False: `timeout` passed first, or a stop was requested.
bool wait_for_lsn(const std::string& mirror, daystream::Lsn lsn,
                  std::optional<std::chrono::milliseconds> timeout,
                  const daystream::program::Signals& signals);

}  // namespace deltamirror
