// What `up` will start, and by which plugin of the server.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daystream/error.h"
#include "program/postgres.h"
#include "store/mirrored_table.h"
#include "up/own_stream.h"
#include "up/publishing.h"
#include "up/up.h"

namespace deltamirror {

class SeedSession;

// The streams, their directories and slots; of publications nothing yet. Throws ConfigError.
std::vector<OwnStream> plan_streams(const UpOptions& options);

// `wishes`, and what of `tables` is followed beside them: a stream goes on with what the mirror
// has.
void follow_too(std::vector<TableRequest>& wishes, const std::vector<MirroredTable>& tables);

// The filter of deltastream; empty: all tables. (A configuration may name other tables at the next
// SIGHUP: then the stream holds all of them.)
std::string filter_of(const UpOptions& options, const OwnStream& stream);

// PostgreSQL has `tables`, and they can be seeded from what the stream will hold. Throws what a
// seed would throw of them.
void check_tables(const UpOptions& options, const OwnStream& stream,
                  const std::vector<TableRequest>& tables,
                  const daystream::program::Signals& signals);
// The same of the stream's own, all of them: what only one table has is among the problems of the
// session, which has looked at the others.
std::unique_ptr<SeedSession> look_at_tables(const UpOptions& options, const OwnStream& stream,
                                            const daystream::program::Signals& signals);

// Sets the stream's publication, where it goes or has to go by PostgreSQL's own plugin: as it was
// given, as the stream or the slot that is there has it, or else as the server lets one. Returns
// what the server said where it was asked. Throws ConfigError where that cannot be done with it.
Ways choose_source(const UpOptions& options, OwnStream& stream, PGconn* pg);

// What keeps `tables` out of the publication as one error. Nothing is made.
void check_publishing(PGconn* pg, const OwnStream& stream, const std::vector<TableRequest>& tables);

// How deltastream is started.
std::vector<std::string> deltastream_command(const UpOptions& options, const OwnStream& stream);

}  // namespace deltamirror
