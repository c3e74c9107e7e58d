// `deltamirror up`: one command from a PostgreSQL to a mirror that follows it.
#pragma once

#include <string>

#include "command/commands.h"
#include "command/table_arguments.h"
#include "program/program.h"

namespace deltamirror {

struct UpOptions {
  RunOptions run;               // the mirror, and how it is followed
  std::string slot;             // empty: made from the mirror's name
  bool partition_root = false;  // as deltastream has it
  TableChoice choice;
  std::string from;  // the URL of a stream whose server has snapshots; empty: none
};

// Starts deltastream as a child with the daystream beside the mirror (MIRROR.daystream), seeds
// unless the mirror is there, follows. When it ends, so does the child, each at a commit; when the
// child ends by itself, so do we, with its exit code. Started again it goes on.
int up(const UpOptions& options, daystream::program::Signals& signals);

// The subcommand (command/commands.h).
void add_up(CLI::App& app, Chosen& chosen);

}  // namespace deltamirror
