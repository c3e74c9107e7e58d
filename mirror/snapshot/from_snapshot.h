// A mirror that begins as a copy of another one, from a server that has it: no PostgreSQL is asked.
#pragma once

#include <filesystem>
#include <string>

#include "daystream/stream.h"
#include "program/program.h"

namespace deltamirror {

// Fetches the newest snapshot that the server of `daystream` has (remote/fetch.h). What follows is
// in the daystream, after the snapshot's own checkpoint. False: asked to stop; then there is no
// mirror. Throws Error where MIRROR is there or what came is no mirror, ConfigError where
// `daystream` has no server.
bool fetch_mirror(const std::string& mirror, const daystream::Stream& daystream,
                  daystream::program::Signals& signals);

}  // namespace deltamirror
