// Changes of a table that the stream names and does not tell: `oversize` lines.
#pragma once

#include <string>

#include "daystream/line.h"

namespace deltamirror {

// Throws NeedsPerson. `leave_out`: what to do about a row that is too large.
[[noreturn]] void throw_untold(const daystream::Change& change, const std::string& table,
                               const std::string& leave_out);

}  // namespace deltamirror
