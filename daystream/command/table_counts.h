// daystream info --tables: how many changes of what kind each table had.
#pragma once

#include <string>

#include "range.h"

namespace daystream::command {

// Reads the range through and prints the counts. The result is the exit code.
int info_tables(const Stream& stream, const RangeOptions& range, bool json);

}  // namespace daystream::command
