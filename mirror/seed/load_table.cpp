#include "seed/load_table.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "program/figures.h"
#include "seed/bulk_insert.h"
#include "seed/copy_pump.h"
#include "seed/progress.h"
#include "store/number_columns.h"
#include "store/shared_table.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Error;

namespace {

// What somebody who asks for `total > 1000` has to know.
void tell_number_columns(const MirroredTable& table) {
  for (const NumberColumn& column : number_columns(table)) {
    spdlog::info("{}: \"{}\" is exact, as text; \"{}\" beside it compares as a number", table.name,
                 column.of, column.name);
  }
}

}  // namespace

void make_table(Database& db, const MirroredTable& mirrored) {
  if (mirrored.is_shared()) {
    make_shared(db, mirrored, sharing(load_tables(db), mirrored));
  } else {
    db.exec(create_table_sql(mirrored, mirrored.name));
  }
}

void load_table(Database& db, SeedSession& session, SeedTable& table,
                const daystream::program::Signals& signals) {
  const MirroredTable& mirrored = table.mirrored;
  // A query that leaves rows out could not be followed: whether a change belongs to it, only
  // PostgreSQL could say.
  const bool counted = table.relation.oid != 0 && !table.request.query.empty();
  const std::uint64_t expected = counted ? session.count_rows(table) : 0;
  ProgressLine progress(fmt::format("seeding {}", mirrored.name),
                        counted ? static_cast<double>(expected) : table.relation.estimated_rows);
  make_table(db, mirrored);
  CopyPump pump(session.start_copy(table), table.copied);
  std::uint64_t rows = 0;
  const auto next = [&] {
    // The server may think for long before it sends a row.
    do {
      if (signals.stop_requested())
        throw Error("stopped before all tables were read", "the same command does it again");
      progress.update(rows);
    } while (!pump.ready(std::chrono::milliseconds(100)));
    const RowBatch* const batch = pump.next();
    if (batch != nullptr) rows += batch->rows();
    return batch;
  };
  try {
    bulk_insert(db, mirrored.name, mirrored.columns.size(), next,
                mirrored.is_shared() ? column_list(mirrored) : "");
  } catch (const SqliteError& e) {
    if ((e.code() & 0xff) != SQLITE_CONSTRAINT) throw;
    throw ConfigError(fmt::format("the query for \"{}\" returns a row twice", mirrored.name),
                      "it must return each row of the table once");
  }
  progress.finish(rows);
  tell_number_columns(mirrored);
  if (counted && rows != expected) {
    throw ConfigError(
        fmt::format("the query for \"{}\" returns {}, but the table has {}", mirrored.source_table,
                    daystream::program::counted(rows, "row"), expected),
        "a followed query may choose columns, not rows: filter in a SQLite view over "
        "the mirror, or "
        "copy the result once with --query SQL --as NAME without --table");
  }
  table.mirrored.seed.rows = static_cast<std::int64_t>(rows);
  table.mirrored.seed.written_rows = table.mirrored.seed.rows;
  table.mirrored.seed.at = timestamp_now();
}

Checkpoint first_checkpoint(const SeedSession& session, const daystream::Stream& stream,
                            const daystream::Seam& seam, daystream::Lsn consistent_at) {
  Checkpoint checkpoint;
  checkpoint.directory = stream.absolute_address();
  checkpoint.source = session.source();
  checkpoint.position = seam.position;
  checkpoint.lsn = seam.lsn;
  checkpoint.system_identifier = session.server().system_identifier;
  checkpoint.database = session.server().database;
  checkpoint.timeline = session.server().timeline;
  checkpoint.applied_at = timestamp_now();
  checkpoint.consistent_at = consistent_at;
  return checkpoint;
}

}  // namespace deltamirror
