// Commands that change which tables a mirror holds: through its owner where one runs, else by
// themselves.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/source_places.h"
#include "program/program.h"

namespace deltamirror {

struct TableCommand {
  std::string mirror;
  AskedPlaces places;  // without a connection the owner's own is used
  bool whole = false;  // reseed: copies the tables, not only the rows that differ
};

// How tables come into a mirror that nobody owns, where its stream has to be seen to as well;
// false: it has not. (It is in mirror/up, which stands above this.)
using AddWithStream = std::function<bool(const TableCommand& command, const MirrorConfig& config,
                                         daystream::program::Signals& signals)>;

// All end once the tables are in place, readers included. They throw as seeds do.
void add_tables(const TableCommand& command, const MirrorConfig& config,
                const AddWithStream& add_with_stream, daystream::program::Signals& signals);
void reseed_tables(const TableCommand& command, const std::vector<std::string>& tables,
                   daystream::program::Signals& signals);
void remove_tables(const TableCommand& command, const std::vector<std::string>& tables,
                   const daystream::program::Signals& signals);

}  // namespace deltamirror
