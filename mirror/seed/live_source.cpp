#include "seed/live_source.h"

#include <fmt/format.h>

#include <utility>

#include "program/figures.h"
#include "program/postgres.h"
#include "seed/copy_pump.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Error;

LiveSnapshot snapshot_of(SeedSession& session) {
  return {.tables = session.tables(),
          .server = session.server(),
          .snapshot = session.snapshot(),
          .consistent_at = session.consistent_at(),
          .taken_us = session.clock_us(),
          .seam = session.seam(),
          .types = session.types(),
          .problems = session.problems()};
}

void check_server(const PgServer& server, const std::string& system_identifier) {
  daystream::require_same_source("the server", {server.system_identifier, {}, {}},
                                 "that of the mirror", {system_identifier, {}, {}},
                                 "connect to the server that the mirror was seeded from");
}

namespace {

void copy(LiveSource& to, SeedSession& session, const SeedTable& table, std::size_t number) {
  const bool counted = table.relation.oid != 0 && !table.request.query.empty();
  const std::uint64_t expected = counted ? session.count_rows(table) : 0;
  std::uint64_t rows = 0;
  PGconn* const pg = session.start_copy(table);
  BinaryCopy copy(table.copied);
  RowBatch batch(copy.columns());
  receive_rows(pg, copy, batch, [&] {
    rows += batch.rows();
    to.hand_over(LiveRows{.table = number, .rows = std::exchange(batch, RowBatch(copy.columns()))});
    return true;
  });
  if (counted && rows != expected) {
    throw ConfigError(fmt::format("the query for \"{}\" returns {}, but the table has {}",
                                  table.mirrored.source_table,
                                  daystream::program::counted(rows, "row"), expected),
                      "a followed query may choose columns, not rows");
  }
}

void copy_all(LiveSource& to, const LiveSeedRequest& request,
              const daystream::program::Signals& signals) {
  SeedSession session(request.conninfo, request.daystream, request.tables, signals, request.unfit,
                      request.places);
  const LiveSource::WithSession announced(to, session);
  session.take_snapshot();
  to.hand_over(snapshot_of(session));
  for (std::size_t i = 0; i < session.tables().size(); ++i) {
    try {
      copy(to, session, session.tables()[i], i);
    } catch (const Error& e) {
      if (request.unfit == Unfit::Refuse || e.retryable() || session.is_cancelled()) throw;
      throw CopyFailed(e, session.tables()[i].mirrored.name);
    }
  }
  session.finish();
  to.hand_over(LiveEnd{});
}

}  // namespace

std::unique_ptr<LiveSource> start_copying(const LiveSeedRequest& request,
                                          const daystream::program::Signals& signals) {
  return std::make_unique<LiveSource>(
      [request, &signals](LiveSource& to) { copy_all(to, request, signals); });
}

}  // namespace deltamirror
