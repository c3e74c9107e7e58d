#include "seed/seed_sources.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <vector>

#include "history/history_tables.h"
#include "seed/load_table.h"
#include "seed/requests.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"
#include "store/shared_table.h"
#include "store/wal_keeper.h"

namespace deltamirror {

namespace {

struct Source {
  const SourceConfig* config;
  std::unique_ptr<SeedSession> session;
};

std::vector<Source> open_sessions(const SeedOptions& options,
                                  const daystream::program::Signals& signals) {
  std::vector<Source> sources;
  for (const SourceConfig& config : options.config.sources) {
    MirrorConfig tables;
    tables.tables = config.tables;
    Source source{&config,
                  std::make_unique<SeedSession>(config.connection.value_or(options.conninfo),
                                                config.daystream, tables, signals)};
    const SourceServer& server = source.session->server();
    for (const Source& other : sources) {
      const SourceServer& its = other.session->server();
      if (its.system_identifier != server.system_identifier || its.database != server.database) {
        continue;
      }
      throw daystream::WrongSource(
          fmt::format("sources \"{}\" and \"{}\" are the same database: \"{}\" of cluster {}",
                      other.config->name, config.name, server.database, server.system_identifier),
          "name each database once, with all of its tables");
    }
    sources.push_back(std::move(source));
  }
  return sources;
}

// Looks at the shapes of all before hours go into copying the first.
void check_shapes(const std::vector<Source>& sources) {
  std::vector<MirroredTable> seen;
  for (const Source& source : sources) {
    bool any = false;
    for (const SeedTable& table : source.session->tables()) any |= table.mirrored.is_shared();
    if (!any || sources.size() == 1) continue;
    source.session->take_snapshot();
    for (const SeedTable& table : source.session->tables()) {
      for (const MirroredTable& other : sharing(seen, table.mirrored)) {
        check_shareable(other, table.mirrored);
      }
      seen.push_back(table.mirrored);
    }
    source.session->give_up_snapshot();
  }
}

void load_source(Database& db, const Source& source, const daystream::program::Signals& signals) {
  SeedSession& session = *source.session;
  spdlog::info("seeding from source \"{}\"", source.config->name);
  session.take_snapshot();
  save_types(db, source.config->name, session.types());  // needed to read a `where` back
  for (SeedTable& table : session.tables()) {
    load_table(db, session, table, signals);
    if (table.mirrored.mode != TableMode::Mirror) {
      table.mirrored.base = session.seam().position;
      table.mirrored.base_lsn = session.seam().lsn;
    }
    save_table(db, table.mirrored);
  }
  session.finish();
  for (const SeedTable& table : session.tables()) {
    if (table.mirrored.mode != TableMode::Mirror) begin_history(db, table.mirrored);
  }
  save_checkpoint(db, first_checkpoint(session, source.config->daystream, session.seam(),
                                       session.consistent_at()));
}

}  // namespace

void seed_sources(const SeedOptions& options, const daystream::program::Signals& signals) {
  check_distinct({}, options.config.all_tables());
  const std::vector<Source> sources = open_sessions(options, signals);
  check_shapes(sources);
  MirrorLock owner(options.mirror);
  try {
    check_absent(options.mirror);
    Database db = open_for_loading(options.mirror, Loading::Anew);
    db.exec("BEGIN");
    create_catalog(db);
    for (const Source& source : sources) load_source(db, source, signals);
    for (const MirroredTable& table : load_tables(db)) create_missing_indexes(db, table);
    run_extra_sql(db, options.config.extra_sql);
    analyze(db);
    db.exec("COMMIT");
    publish(std::move(db), options.mirror);
  } catch (...) {
    // Nothing of a failed seed stays; the error goes on.
    remove_loading_files(options.mirror);
    owner.remove_file();
    throw;
  }
  spdlog::info("mirror \"{}\" is seeded from {} sources", options.mirror, sources.size());
}

}  // namespace deltamirror
