// Checks every byte of a directory and prints the result: the work of `verify`, and the end of
// `repair`.
#pragma once

#include <string>

namespace daystream::command {

// Prints what is there. Throws Corruption at the first damage.
void verify_directory(const std::string& source);

}  // namespace daystream::command
