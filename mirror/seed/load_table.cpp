#include "seed/load_table.h"

#include <fmt/format.h>

#include "seed/copy_pump.h"
#include "seed/progress.h"
#include "store/shared_table.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Error;

namespace {

class Loader {
 public:
  Loader(Database& db, const MirroredTable& table) : table_(table) {
    if (table.is_shared()) {
      make_shared(db, table, sharing(load_tables(db), table));
    } else {
      db.exec(create_table_sql(table, table.name));
    }
    insert_ = db.prepare(insert_sql(table));
  }

  void load(const RowBatch& batch) {
    const std::size_t columns = batch.columns();
    for (std::size_t row = 0; row < batch.rows(); ++row) {
      for (std::size_t i = 0; i < columns; ++i) {
        batch.value(row, i).bind_to(insert_, static_cast<int>(i) + 1);
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
  std::uint64_t rows_ = 0;
};

}  // namespace

void load_table(Database& db, SeedSession& session, SeedTable& table,
                const daystream::program::Signals& signals) {
  // A query that leaves rows out could not be followed: whether a change belongs to it, only
  // PostgreSQL could say.
  const bool counted = table.relation.oid != 0 && !table.request.query.empty();
  const std::uint64_t expected = counted ? session.count_rows(table) : 0;
  Progress progress(fmt::format("seeding {}", table.mirrored.name),
                    counted ? static_cast<double>(expected) : table.relation.estimated_rows);
  Loader loader(db, table.mirrored);
  CopyPump pump(session.start_copy(table), table.copied);
  while (const RowBatch* batch = pump.next()) {
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

Checkpoint first_checkpoint(const SeedSession& session, const std::filesystem::path& directory,
                            const daystream::Seam& seam, daystream::Lsn consistent_at) {
  Checkpoint checkpoint;
  const bool is_url = directory.native().find("://") != std::string::npos;
  checkpoint.directory =
      is_url ? directory.string() : std::filesystem::absolute(directory).string();
  checkpoint.source = session.manifest().name;
  checkpoint.position = seam.position;
  checkpoint.lsn = seam.lsn;
  checkpoint.system_identifier = session.server().system_identifier;
  checkpoint.database = session.server().database;
  checkpoint.timeline = session.server().timeline;
  checkpoint.applied_at = utc_text(now_us());
  checkpoint.consistent_at = consistent_at;
  return checkpoint;
}

}  // namespace deltamirror
