#include "seed/seed.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <optional>

#include "history/history_tables.h"
#include "owner/owner.h"
#include "seed/bulk_insert.h"
#include "seed/copy_pump.h"
#include "seed/progress.h"
#include "seed/requests.h"
#include "seed/seed_file.h"
#include "seed/seed_session.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"
#include "store/wal_keeper.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Error;

namespace {

void load_table(Database& db, SeedSession& session, SeedTable& table,
                const daystream::program::Signals& signals) {
  // A query that leaves rows out could not be followed: whether a change belongs to it, only
  // PostgreSQL could say.
  const bool counted = table.relation.oid != 0 && !table.request.query.empty();
  const std::uint64_t expected = counted ? session.count_rows(table) : 0;
  Progress progress(fmt::format("seeding {}", table.mirrored.name),
                    counted ? static_cast<double>(expected) : table.relation.estimated_rows);
  db.exec(create_table_sql(table.mirrored, table.mirrored.name));
  CopyPump pump(session.start_copy(table), table.copied);
  std::uint64_t rows = 0;
  const auto next = [&] {
    if (signals.stop_requested()) throw Error("stopped before the seed was complete");
    progress.update(rows);
    const RowBatch* const batch = pump.next();
    if (batch != nullptr) rows += batch->rows();
    return batch;
  };
  try {
    bulk_insert(db, table.mirrored.name, table.mirrored.columns.size(), next);
  } catch (const SqliteError& e) {
    if ((e.code() & 0xff) != SQLITE_CONSTRAINT) throw;
    throw ConfigError(fmt::format("the query for \"{}\" returns a row twice", table.mirrored.name),
                      "it must return each row of the table once");
  }
  progress.finish(rows);
  if (counted && rows != expected) {
    throw ConfigError(fmt::format("the query for \"{}\" returns {} rows, but the table has {}",
                                  table.mirrored.source_table, rows, expected),
                      "a followed query may choose columns, not rows: filter in a SQLite view over "
                      "the mirror, or "
                      "copy the result once with --query SQL --as NAME without --table");
  }
  table.mirrored.seeded_rows = static_cast<std::int64_t>(rows);
  table.mirrored.seeded_at = utc_text(now_us());
}

void build_indexes(Database& db, const MirrorConfig& config, const std::vector<SeedTable>& tables) {
  for (const SeedTable& table : tables) {
    for (const std::string& sql : create_index_sql(table.mirrored)) db.exec(sql);
  }
  run_extra_sql(db, config.extra_sql);
}

// In transactions of their own where what they saw is on PostgreSQL's disk by the time they are
// copied: then a later seed can go on from there.
void load_tables_whole(SeedFile& file, SeedSession& session,
                       const daystream::program::Signals& signals) {
  Database& db = file.db();
  for (std::size_t i = 0; i < session.tables().size(); ++i) {
    if (file.is_whole(i)) continue;
    SeedTable& table = session.tables()[i];
    if (!db.in_transaction()) db.exec("BEGIN");
    load_table(db, session, table, signals);
    save_table(db, table.mirrored);
    if (!session.is_flushed()) continue;
    db.exec("COMMIT");
    for (std::size_t whole = 0; whole <= i; ++whole) file.set_whole(whole);
  }
  session.finish();
  if (!db.in_transaction()) db.exec("BEGIN");
}

Checkpoint first_checkpoint(const SeedSession& session, const SeedFile& file,
                            const std::filesystem::path& directory) {
  Checkpoint checkpoint;
  const bool is_url = directory.native().find("://") != std::string::npos;
  checkpoint.directory =
      is_url ? directory.string() : std::filesystem::absolute(directory).string();
  checkpoint.source = session.manifest().name;
  checkpoint.position = file.seam().position;
  checkpoint.lsn = file.seam().lsn;
  checkpoint.system_identifier = session.server().system_identifier;
  checkpoint.database = session.server().database;
  checkpoint.timeline = session.server().timeline;
  checkpoint.applied_at = utc_text(now_us());
  checkpoint.consistent_at = file.consistent_at();
  return checkpoint;
}

}  // namespace

void seed(const SeedOptions& options, const daystream::program::Signals& signals) {
  check_absent(options.mirror);
  check_distinct({}, options.config.tables);
  // All that can be wrong with the request is found before a file is made.
  SeedSession session(options.conninfo, options.daystream, options.config, signals);
  Owner owner(options.mirror);
  std::optional<SeedFile> file;
  try {
    check_absent(options.mirror);
    session.take_snapshot();
    file.emplace(options.mirror, session, options.daystream);
    Database& db = file->db();
    load_tables_whole(*file, session, signals);
    build_indexes(db, options.config, session.tables());
    for (SeedTable& table : session.tables()) {
      if (table.mirrored.mode == TableMode::Mirror) continue;
      table.mirrored.base = file->seam().position;
      table.mirrored.base_lsn = file->seam().lsn;
      save_table(db, table.mirrored);
      begin_history(db, table.mirrored);
    }
    analyze(db);
    save_types(db, session.types());
    save_checkpoint(db, first_checkpoint(session, *file, options.daystream));
    Database whole = file->finish();
    whole.exec("COMMIT");
    publish(std::move(whole), options.mirror);
  } catch (const Error& e) {
    const bool may_go_on = e.retryable() || signals.stop_requested();
    const std::size_t whole = file ? file->whole_count() : 0;
    file.reset();  // rolls back what is not whole
    if (may_go_on && whole > 0) {
      spdlog::info("the same command goes on: {} of {} tables are whole in \"{}.seeding\"", whole,
                   session.tables().size(), options.mirror);
    } else {
      remove_loading_files(options.mirror);  // nothing of a failed seed stays
    }
    owner.remove_file();
    throw;
  } catch (...) {
    // Out of memory, say: nothing of it stays either.
    file.reset();
    remove_loading_files(options.mirror);
    owner.remove_file();
    throw;
  }
  spdlog::info("mirror \"{}\" is seeded", options.mirror);
}

}  // namespace deltamirror
