// Reading `durable` by way of a Dir.
#pragma once

#include <optional>

#include "daystream/durable.h"
#include "dir.h"

namespace daystream {

// nullopt: there is none, or what is there is not whole.
std::optional<Durable> load_durable(Dir& dir);

}  // namespace daystream
