// daystream info of a daystream that another host serves.
#pragma once

#include <string>

namespace daystream::command {

// Prints what the server says of `url`. The exit code.
int info_remote(const std::string& url, bool json);

}  // namespace daystream::command
