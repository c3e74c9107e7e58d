// Commands that change which tables a mirror holds: through its owner where one runs, else by
// themselves.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "daystream/stream.h"
#include "program/program.h"

namespace deltamirror {

struct TableCommand {
  std::string mirror;
  std::optional<std::string> conninfo;  // nullopt: the owner's own
  daystream::Stream daystream;          // empty: where the mirror was last read from
  bool whole = false;                   // reseed: copies the tables, not only the rows that differ
  std::string source = {};              // whose tables, of a mirror of named ones; empty: not said
  std::string config_file = {};         // says how those are reached
};

// All end once the tables are in place, readers included. They throw as seeds do.
void add_tables(const TableCommand& command, const MirrorConfig& config,
                daystream::program::Signals& signals);
void reseed_tables(const TableCommand& command, const std::vector<std::string>& tables,
                   daystream::program::Signals& signals);
void remove_tables(const TableCommand& command, const std::vector<std::string>& tables,
                   const daystream::program::Signals& signals);

}  // namespace deltamirror
