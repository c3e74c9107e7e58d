// The start-up checks: everything that must be right before START_REPLICATION, each with a message
// and a hint of its own (docs/guarantees.md#nothing-lost). PostgreSQL 15 checks little of this
// itself: with a slot that is ahead of us it would skip changes without a word.
#pragma once

#include <optional>
#include <string>

#include "config.h"
#include "daystream/manifest.h"
#include "server.h"
#include "slot.h"

namespace deltastream {

// The manifest of `directory`; nullopt: no daystream there yet.
std::optional<daystream::Manifest> find_manifest(const std::string& directory);

// Each throws NeedsPerson, WrongSource or ConnectionLost; none writes anything.
void check_settings(ReplicationConnection& connection);  // wal_level, output_plugin_libraries
void check_source(const daystream::Manifest& manifest, const Server& server,
                  const std::string& slot, const std::string& directory);
void check_slot(const Slot& slot, const Server& server);
Slot require_slot(ReplicationConnection& connection, const std::string& name);
// Once the daystream's end is known: neither may the slot be ahead of it nor it ahead of the
// server.
void check_position(ReplicationConnection& connection, const Server& server, const Slot& slot,
                    const std::string& directory, daystream::Lsn last_lsn,
                    std::optional<TimelineId> timeline);

// --check: what a start with the same options needs, in all its parts: runs all, prints each with
// what to do, to standard output, and changes nothing. Exit code 0, or that of the first that
// failed.
int run_checks(const Config& config);

}  // namespace deltastream
