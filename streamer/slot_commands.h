// The commands that do one thing to the slot and then end.
#pragma once

#include "config.h"

namespace daystream::program {
class Signals;
}

namespace deltastream {

void run_create_slot(const Config& config, const daystream::program::Signals& signals);
void run_drop_slot(const Config& config);

// Replaces a slot that is lost, gone, or ahead of the daystream by a new one, and writes a `gap`
// and a first mark: what happened in between is not in the stream, and every mirror re-seeds.
// Refuses where the stream could simply go on.
void run_recreate_slot(const Config& config, const daystream::program::Signals& signals);

}  // namespace deltastream
