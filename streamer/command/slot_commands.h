// The commands that do one thing to the slot and then end.
#pragma once

#include <optional>

#include "config/stream_config.h"
#include "daystream/writer.h"
#include "server/server.h"
#include "server/slot.h"

namespace daystream::program {
class Signals;
}

namespace deltastream {

void run_create_slot(const Config& config, const daystream::program::Signals& signals);
void run_drop_slot(const Config& config);

// Replaces a slot that is lost, gone, or ahead of the daystream by a new one. Refuses where the
// stream could simply go on.
void run_recreate_slot(const Config& config, const daystream::program::Signals& signals);

// Writes a `gap`, makes a new slot in place of `slot` (nullopt: it is gone), and marks where it
// begins: what happened in between is not in the stream, and every mirror copies its tables again.
void replace_slot(ReplicationConnection& connection, const Config& config, const PgServer& server,
                  const std::optional<Slot>& slot, daystream::Writer& writer,
                  const daystream::program::Signals& signals);

}  // namespace deltastream
