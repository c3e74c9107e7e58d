// Checks every byte of a directory and prints the result: the work of `verify`, and the end of
// `repair`.
#pragma once

#include "daystream/stream.h"

namespace daystream::command {

// Prints what is there, as JSON where a script asks. Throws Corruption at the first damage.
void verify_directory(const Stream& source, bool json);

}  // namespace daystream::command
