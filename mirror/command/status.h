// What a mirror is and how far it has come.
#pragma once

#include <string>

namespace deltamirror {

struct StatusOptions {
  std::string mirror;
  bool json = false;
  bool rows = false;  // count them
  bool all = false;   // name each table, however many there are
};

struct Status {
  std::string text;
  // A process owns the mirror, each source is followed, and each table is at the mirror's commit.
  bool healthy = false;
};
Status status_of(const StatusOptions& options);

}  // namespace deltamirror
