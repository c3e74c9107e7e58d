// `deltamirror up`: one command from a PostgreSQL to a mirror that follows it.
#pragma once

#include <string>

#include "command/commands.h"
#include "command/table_arguments.h"
#include "command/table_commands.h"
#include "program/program.h"

namespace deltamirror {

struct UpOptions {
  RunOptions run;               // the mirror, and how it is followed
  std::string slot;             // empty: own_slot_name()
  bool adopt_slot = false;      // as deltastream has it
  bool partition_root = false;  // as deltastream has it
  std::string publication;  // to stream by, with PostgreSQL's own plugin; empty: as the server is
  bool check = false;       // only look
  bool holds_all = false;   // the stream has no filter, and is to have none
  bool only_add = false;    // ends once the tables are in the mirror that is there
  TableChoice choice;
  std::string from;  // the URL of a stream whose server has snapshots; empty: none
};

// Starts deltastream as a child with the daystream beside the mirror (MIRROR.daystream), or one for
// each source whose daystream is a directory; seeds unless the mirror is there, follows. When it
// ends, so do the children, each at a commit; when one ends by itself, so do we, with its exit
// code. Started again it goes on; tables that are asked for and not in the mirror are added.
//
// Where the server does not have our plugin, PostgreSQL's own is taken, by a publication that is
// made for the mirror (up/publishing.h) unless one is given.
//
// All that can be wrong is looked at before a slot is made, and where no mirror comes of it, what
// was made is removed again: a slot that nobody reads fills the primary's disk.
int up(const UpOptions& options, daystream::program::Signals& signals);

// What `seed` of more tables is to a mirror that `up` has made, and that no process owns: its
// stream is made to hold them, and written until they are in place. False: the mirror is none of
// those.
bool add_to_up(const TableCommand& command, const MirrorConfig& config,
               daystream::program::Signals& signals);

// The subcommands (command/commands.h). `down` removes what `up` has made: slot, stream and mirror.
void add_up(CLI::App& app, Chosen& chosen);
void add_down(CLI::App& app, Chosen& chosen);

}  // namespace deltamirror
