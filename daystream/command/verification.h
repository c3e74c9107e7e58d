// Every byte of a directory, checked and told: what `verify` does, and `repair` at its end.
#pragma once

#include <string>

namespace daystream::command {

// Prints what is there. Throws Corruption at the first damage.
void verify_directory(const std::string& source);

}  // namespace daystream::command
