// `deltamirror up --check`.
#pragma once

#include "program/program.h"
#include "up/up.h"

namespace deltamirror {

// What an `up` with the same options needs, at each server: looks at everything, prints each thing
// with what to do about it, and changes nothing. Exit code 0, or the highest of those that failed.
int check_up(const UpOptions& options, const daystream::program::Signals& signals);

}  // namespace deltamirror
