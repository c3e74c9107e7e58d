// Follows all sources of a mirror of named ones.
#pragma once

#include "owner/follow.h"
#include "sqlite/sqlite.h"

namespace deltamirror {

// One thread each; a SQLite commit holds transactions of one source and its checkpoint. While one
// is away, behind or between two commits the others go on.
//
// A source that a person must see to (a gap, another cluster, a row that is not what the stream
// says) stands still at its last commit, and the others go on: shards do not depend on each other,
// and what stops all of them because of one would make a mirror of many the less reliable the more
// it has. It is told in the log, `status` says `stopped` and why, and a reseed of its tables,
// SIGHUP or a new start tries it again. Once no source goes on, this throws what the first has
// stopped at.
//
// `options.config_file` says where the sources are read, how their databases are reached and which
// tables they have; without it, they are read where they were last. With `options.source`, that one
// alone is followed: to copy its tables (seed_now). In the caller's `db`, which is owned.
void follow_sources(const FollowOptions& options, const FollowControl& control, Database& db);

}  // namespace deltamirror
