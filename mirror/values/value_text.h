// Values as messages show them.
#pragma once

#include <string>

#include "values/types.h"

namespace deltamirror {

// NULL, 17, 0.5, "the first 80 bytes of a text", (3 bytes).
std::string value_text(const Value& value);

}  // namespace deltamirror
