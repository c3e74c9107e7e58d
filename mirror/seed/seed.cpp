#include "seed/seed.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <optional>

#include "history/history_tables.h"
#include "seed/load_table.h"
#include "seed/requests.h"
#include "seed/seed_file.h"
#include "seed/seed_session.h"
#include "seed/seed_sources.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"
#include "store/wal_keeper.h"

namespace deltamirror {

using daystream::Error;

namespace {

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

}  // namespace

void seed(const SeedOptions& options, const daystream::program::Signals& signals) {
  check_absent(options.mirror);
  if (!options.config.sources.empty()) return seed_sources(options, signals);
  check_distinct({}, options.config.tables);
  // All that can be wrong with the request is found before a file is made.
  SeedSession session(options.conninfo, options.daystream, options.config, signals);
  MirrorLock owner(options.mirror);
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
    save_types(db, session.source(), session.types());
    save_checkpoint(
        db, first_checkpoint(session, options.daystream, file->seam(), file->consistent_at()));
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
