#include "seed.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "checkpoint.h"
#include "copy_pump.h"
#include "copy_text.h"
#include "mirror_file.h"
#include "owner.h"
#include "progress.h"
#include "seed_session.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Error;

namespace {

class Loader {
 public:
  Loader(Database& db, const MirroredTable& table) : table_(table) {
    db.exec(create_table_sql(table, table.name));
    std::string marks;
    for (std::size_t i = 0; i < table.columns.size(); ++i) marks += i == 0 ? "?" : ",?";
    insert_ = db.prepare(fmt::format("INSERT INTO {} VALUES({})", quote_name(table.name), marks));
    scratch_.resize(table.columns.size());
  }

  void load(CopyPump::Batch& batch) {
    std::size_t start = 0;
    for (const std::size_t end : batch.ends) {
      split_copy_row(batch.bytes.data() + start, end - start, fields_);
      start = end;
      if (fields_.size() != table_.columns.size()) {
        throw daystream::ProtocolError(fmt::format("a row of \"{}\" has {} columns instead of {}",
                                                   table_.name, fields_.size(),
                                                   table_.columns.size()));
      }
      for (std::size_t i = 0; i < fields_.size(); ++i) {
        const Value value = fields_[i].null
                                ? Value{}
                                : convert(table_.columns[i].type, fields_[i].text, scratch_[i]);
        value.bind_to(insert_, static_cast<int>(i) + 1);
      }
      insert();
      ++rows_;
    }
  }

  std::uint64_t rows() const noexcept { return rows_; }

 private:
  void insert() {
    try {
      insert_.step();
    } catch (const SqliteError& e) {
      if ((e.code() & 0xff) != SQLITE_CONSTRAINT) throw;
      throw ConfigError(fmt::format("the query for \"{}\" returns a row twice", table_.name),
                        "it must return each row of the table once");
    }
    insert_.reset();
  }

  const MirroredTable& table_;
  Statement insert_;
  std::vector<CopyField> fields_;
  std::vector<std::string> scratch_;
  std::uint64_t rows_ = 0;
};

void load_table(Database& db, SeedSession& session, SeedTable& table,
                const daystream::program::Signals& signals) {
  // A query that leaves rows out could not be followed: whether a change belongs to it, only
  // PostgreSQL could say.
  const bool counted = table.relation.oid != 0 && !table.request.query.empty();
  const std::uint64_t expected = counted ? session.count_rows(table) : 0;
  Progress progress(fmt::format("seeding {}", table.mirrored.name),
                    counted ? static_cast<double>(expected) : table.relation.estimated_rows);
  Loader loader(db, table.mirrored);
  CopyPump pump(session.start_copy(table));
  while (CopyPump::Batch* batch = pump.next()) {
    if (signals.stop_requested()) throw Error("stopped before the seed was complete");
    loader.load(*batch);
    progress.update(loader.rows());
  }
  progress.finish(loader.rows());
  if (counted && loader.rows() != expected) {
    throw ConfigError(fmt::format("the query for \"{}\" returns {} rows, but the table has {}",
                                  table.mirrored.source_table, loader.rows(), expected),
                      "a followed query may choose columns, not rows: filter in a SQLite view over "
                      "the mirror, or "
                      "copy the result once with --query SQL --as NAME without --table");
  }
  table.mirrored.seeded_rows = static_cast<std::int64_t>(loader.rows());
  table.mirrored.seeded_at = utc_text(now_us());
}

void build_indexes(Database& db, const MirrorConfig& config, const std::vector<SeedTable>& tables) {
  for (const SeedTable& table : tables) {
    for (const std::string& sql : create_index_sql(table.mirrored)) db.exec(sql);
  }
  for (std::size_t i = 0; i < config.extra_sql.size(); ++i) {
    try {
      db.exec(config.extra_sql[i]);
    } catch (const SqliteError& e) {
      throw ConfigError(fmt::format("extra_sql[{}]: {}", i, e.what()));
    }
  }
}

Checkpoint first_checkpoint(const SeedSession& session, const std::filesystem::path& directory) {
  Checkpoint checkpoint;
  const bool is_url = directory.native().find("://") != std::string::npos;
  checkpoint.directory =
      is_url ? directory.string() : std::filesystem::absolute(directory).string();
  checkpoint.source = session.manifest().name;
  checkpoint.position = session.seam().position;
  checkpoint.lsn = session.seam().lsn;
  checkpoint.system_identifier = session.server().system_identifier;
  checkpoint.database = session.server().database;
  checkpoint.timeline = session.server().timeline;
  checkpoint.applied_at = utc_text(now_us());
  checkpoint.consistent_at = session.consistent_at();
  return checkpoint;
}

}  // namespace

void seed(const SeedOptions& options, const daystream::program::Signals& signals) {
  check_absent(options.mirror);
  // All that can be wrong with the request is found before a file is made.
  SeedSession session(options.conninfo, options.daystream, options.config, signals);
  Owner owner(options.mirror);
  try {
    check_absent(options.mirror);
    session.take_snapshot();
    Database db = open_for_loading(options.mirror);
    db.exec("BEGIN");
    create_catalog(db);
    for (SeedTable& table : session.tables()) load_table(db, session, table, signals);
    session.finish();
    build_indexes(db, options.config, session.tables());
    for (const SeedTable& table : session.tables()) save_table(db, table.mirrored);
    save_types(db, session.types());
    save_checkpoint(db, first_checkpoint(session, options.daystream));
    db.exec("COMMIT");
    publish(std::move(db), options.mirror);
  } catch (...) {
    // Nothing of a failed seed stays; the error goes on.
    remove_loading_files(options.mirror);
    owner.remove_file();
    throw;
  }
  spdlog::info("mirror \"{}\" is seeded", options.mirror);
}

}  // namespace deltamirror
