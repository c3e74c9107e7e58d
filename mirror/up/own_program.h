// One of our programs, started by another of them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "program/child.h"

namespace deltamirror {

// Starts `argv`, and returns once it is that program: before, it would have our locks, and our
// handlers, with which a signal to end would be lost. Should we be killed, the kernel sends it a
// SIGTERM; that is set between fork() and exec(), so this is no posix_spawn(). To end it has as
// long as it takes. 127 is the exit code of one that could not be started. Throws IoError.
std::unique_ptr<daystream::program::Child> start_own(const std::vector<std::string>& argv);

// One of our programs: beside this one, or as a build folder has them, else by PATH.
std::string find_program(const std::string& name);

}  // namespace deltamirror
