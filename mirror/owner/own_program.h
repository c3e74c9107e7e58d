// One of our programs, started by another of them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daystream/unique_fd.h"
#include "program/child.h"

namespace deltamirror {

// What it has instead of ours; -1: the same.
struct ChildFiles {
  int out = -1;
  int err = -1;
  int config = -1;  // as /dev/fd/3
  int words = -1;   // as /dev/fd/4
};

// A file in memory, for what a child writes and we read, or the other way. Throws IoError.
daystream::UniqueFd file_in_memory();
// All of it, from its begin.
std::string whole_text(int fd);

// Starts `argv`, and returns once it is that program: before, it would have our locks, and our
// handlers, with which a signal to end would be lost. Should we be killed, the kernel sends it a
// SIGTERM; that is set between fork() and exec(), so this is no posix_spawn(). To end it has as
// long as it takes. 127 is the exit code of one that could not be started. Throws IoError.
std::unique_ptr<daystream::program::Child> start_own(const std::vector<std::string>& argv,
                                                     const ChildFiles& files = {});

// This program, also where its file was replaced since: then the new one.
std::string own_path();
// One of our programs: beside this one, or as a build folder has them, else by PATH.
std::string find_program(const std::string& name);

}  // namespace deltamirror
