// Follows a daystream with a mirror: the body of `deltamirror run`.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "daystream/lsn.h"

namespace deltamirror {

struct FollowOptions {
  std::string mirror;
  std::filesystem::path daystream;
  bool once = false;                    // end where the daystream ends now
  std::optional<daystream::Lsn> until;  // end with the last transaction up to this LSN
};

// What can end it from outside.
struct FollowControl {
  std::function<bool()> stop_requested;
  int wake_fd = -1;  // readable when stop_requested() may have changed
};

// Owns the mirror meanwhile. Ends at a commit.
void follow(const FollowOptions& options, const FollowControl& control);

}  // namespace deltamirror
