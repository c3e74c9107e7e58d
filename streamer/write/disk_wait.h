// Waiting for a sync when there is nothing else to do.
#pragma once

#include <functional>
#include <optional>

#include "daystream/writer.h"
#include "write/flusher.h"

namespace daystream::program {
class Signals;
}

namespace deltastream {

// Waits until the sync that runs has ended, however long that takes; calls `alive` now and then
// meanwhile. nullopt: none runs. Throws its IoError.
//
// When a stop is requested it waits a few seconds more, logs that, and **ends the process** with
// exit code 1: a disk that hangs must not hang a shutdown. That is as safe as a SIGKILL: what is
// not on disk was not confirmed, and comes again. (The thread that waits for the disk cannot be
// ended otherwise.)
std::optional<daystream::Writer::Flush> wait_for_disk(Flusher& flusher,
                                                      const daystream::program::Signals& signals,
                                                      const std::function<void()>& alive);

// At the end of a stream: gives up half a transaction, and waits until all else is on disk. Throws
// IoError, after which the Writer is of no more use.
void settle(daystream::Writer& writer, Flusher& flusher, const daystream::program::Signals& signals,
            const std::function<void()>& alive);

}  // namespace deltastream
