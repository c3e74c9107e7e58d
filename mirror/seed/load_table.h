// What every first seed does: rows of one table, and where replay begins.
#pragma once

#include "daystream/reader.h"
#include "program/program.h"
#include "seed/seed_session.h"
#include "sqlite/sqlite.h"
#include "store/checkpoint.h"

namespace deltamirror {

// Makes the table, empty.
void make_table(Database& db, const MirroredTable& mirrored);

// Makes the table and copies its rows into it, in the caller's SQLite transaction. Throws Error
// when stopped, ConfigError where a query's result is not the table's rows.
void load_table(Database& db, SeedSession& session, SeedTable& table,
                const daystream::program::Signals& signals);

Checkpoint first_checkpoint(const SeedSession& session, const daystream::Stream& stream,
                            const daystream::Seam& seam, daystream::Lsn consistent_at);

}  // namespace deltamirror
