// The point at which a mirror and PostgreSQL are compared: a snapshot that sees all that the mirror
// has, and the stream up to it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/config.h"
#include "seed/seed_session.h"
#include "store/checkpoint.h"
#include "store/mirrored_table.h"
#include "verify/overlay.h"
#include "verify/verify_report.h"

namespace deltamirror {

// Tables that are as PostgreSQL's are; says which are not.
std::vector<MirroredTable> comparable_tables(const Database& db, const std::string& source,
                                             VerifyReport& report);

// What a session asks for to see the followed ones of `tables`, whole.
std::vector<TableRequest> request_of(const std::vector<MirroredTable>& tables);

// nullptr: none of `tables` is followed and has it.
const MirroredTable* find_table(const std::vector<MirroredTable>& tables, std::uint32_t oid);
// `found`: the mirror's own of `source`. Throws NeedsPerson where it has none: it was another.
const MirroredTable& require_seeded(const MirroredTable* found, const SeedTable& source);

// Takes snapshots until one sees every commit up to `at` (one may wait for a synchronous standby).
void take_snapshot_seeing(SeedSession& session, const daystream::Stream& daystream,
                          const Checkpoint& at);

// Hands on what the reader delivers, until `reached()` is at the session's consistent_at(): waits
// for the stream to get there, and moves the log of an idle server. Throws Error when stopped.
void read_to_snapshot(daystream::Reader& reader, const SeedSession& session,
                      const std::string& conninfo, const daystream::program::Signals& signals,
                      const std::function<daystream::Lsn()>& reached,
                      const std::function<void(daystream::Transaction&)>& take);

// Brings an overlay of a mirror that is at `at` to the session's snapshot; false: it cannot be.
bool lay_over(Overlay& overlay, const SeedSession& session, const daystream::Stream& daystream,
              const Checkpoint& at, const std::string& conninfo,
              const daystream::program::Signals& signals);

}  // namespace deltamirror
