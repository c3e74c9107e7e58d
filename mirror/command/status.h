// What a mirror is and how far it has come.
#pragma once

#include <string>

namespace deltamirror {

struct StatusOptions {
  std::string mirror;
  bool json = false;
  bool rows = false;  // count them
};

std::string status_text(const StatusOptions& options);

}  // namespace deltamirror
