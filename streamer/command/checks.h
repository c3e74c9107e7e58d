// The start-up checks: everything that must be right before START_REPLICATION, each with a message
// and a hint of its own (docs/guarantees.md#nothing-lost). PostgreSQL 15 checks little of this
// itself: with a slot that is ahead of us it would skip changes without a word.
#pragma once

#include <optional>
#include <string>

#include "config/stream_config.h"
#include "daystream/manifest.h"
#include "server/server.h"
#include "server/slot.h"

namespace deltastream {

// The manifest of `directory`; nullopt: no daystream there yet. Throws where none can begin there.
std::optional<daystream::Manifest> find_manifest(const std::string& directory);

// Each throws NeedsPerson, WrongSource or ConnectionLost; none writes anything.
// wal_level, output_plugin_libraries
void check_settings(ReplicationConnection& connection, const Config& config);
void check_source(const daystream::Manifest& manifest, const PgServer& server,
                  const std::string& slot, const std::string& directory);
void check_slot(const Slot& slot, const PgServer& server, const Config& config);
Slot require_slot(ReplicationConnection& connection, const std::string& name);
// Once the daystream's end is known: it is of the server's own history, and not ahead of it.
void check_history(ReplicationConnection& connection, const PgServer& server,
                   const std::string& directory, daystream::Lsn last_lsn,
                   std::optional<TimelineId> timeline);
// The slot has all that comes after the daystream's end.
void check_not_ahead(const Slot& slot, const std::string& directory, daystream::Lsn last_lsn);
// The same where the daystream has no line: then it ends where the slot stood when it was made. A
// slot that stands elsewhere was confirmed for lines that somebody took away.
void check_not_begun(const Slot& slot, const std::string& directory,
                     const daystream::Manifest& manifest);

// --check: what a start with the same options needs, in all its parts: runs all, prints each with
// what to do, to standard output, and changes nothing. Exit code 0, or the highest of those
// that failed.
int run_checks(const Config& config);

}  // namespace deltastream
