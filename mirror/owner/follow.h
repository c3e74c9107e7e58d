// Follows a daystream with a mirror: the body of `deltamirror run`.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>

#include "config/config.h"
#include "daystream/lsn.h"
#include "daystream/unique_fd.h"
#include "model/shape.h"
#include "program/program.h"

namespace deltamirror {

struct FollowOptions {
  std::string mirror;
  std::filesystem::path daystream;      // empty: where the mirror was read last
  std::string source = {};              // which of them these options are of
  bool once = false;                    // end where the daystream ends now
  std::optional<daystream::Lsn> until;  // end with the last transaction up to this LSN
  // What PostgreSQL committed less than so long ago is left for later, as its clock and this host's
  // tell: a mistake can be caught before it is here.
  std::chrono::seconds delay{0};
  // To PostgreSQL, for tables that have to be copied anew or are added; nullopt: stop there.
  std::optional<std::string> conninfo;
  std::string config_file;  // the tables to hold, read again at SIGHUP; empty: those it has
  ShapePolicy shapes = ShapePolicy::Follow;
  std::string on_commit;               // socket to tell changes at; empty: none
  std::vector<TableRequest> seed_now;  // copy these, and end once they are in place
};

// What can end it from outside.
struct FollowControl {
  std::function<bool()> stop_requested;
  int wake_fd = -1;  // readable when stop_requested() or a signal may have changed
  daystream::program::Signals& signals;
};

// Owns the mirror meanwhile, and listens on its control socket. Ends at a commit. Of a mirror of
// named sources all are followed: owner/follow_sources.h.
void follow(const FollowOptions& options, const FollowControl& control);

// Readable when one of them is.
daystream::UniqueFd any_of(std::initializer_list<int> fds);

}  // namespace deltamirror
