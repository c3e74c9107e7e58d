// Reading `durable` by way of a Dir.
#pragma once

#include <optional>

#include "daystream/durable.h"
#include "dir.h"

namespace daystream {

// nullopt: there is none, or what is there is not whole. A Writer may be at work: what is half
// written is read again.
std::optional<Durable> load_durable(Dir& dir);
// The same for the Writer itself: nobody else writes the file, so one try is enough.
std::optional<Durable> load_durable_once(Dir& dir);

}  // namespace daystream
