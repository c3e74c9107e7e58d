#include "seed/seed.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "apply/same_source.h"
#include "config/source_places.h"
#include "program/figures.h"
#include "seed/load_table.h"
#include "seed/rehearsal.h"
#include "seed/requests.h"
#include "seed/seed_file.h"
#include "seed/seed_session.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"
#include "store/number_columns.h"
#include "store/shared_table.h"

namespace deltamirror {

using daystream::Error;
using std::chrono::steady_clock;

namespace {

// With their sessions: all that can be wrong with the requests is found before a file is made.
std::vector<SeedPart> open_parts(const SeedOptions& options,
                                 const daystream::program::Signals& signals) {
  std::vector<SeedPart> parts;
  for (const SourceConfig& source : sources_of(options)) {
    const daystream::Stream stream = open_stream(source.daystream);
    SeedPart part{
        stream, std::make_unique<SeedSession>(source.connection.value_or(options.conninfo), stream,
                                              source.tables, signals)};
    for (const SeedPart& other : parts) {
      require_other_database(other.session->source(), other.session->server().identity(),
                             source.name, part.session->server().identity());
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

// Looks at the shapes of all before hours go into copying the first.
void check_shapes(const std::vector<SeedPart>& parts) {
  std::vector<MirroredTable> seen;
  for (const SeedPart& part : parts) {
    bool any = false;
    for (const SeedTable& table : part.session->tables()) any |= table.mirrored.is_shared();
    if (!any || parts.size() == 1) continue;
    part.session->take_snapshot();
    for (const SeedTable& table : part.session->tables()) {
      for (const MirroredTable& other : sharing(seen, table.mirrored)) {
        check_shareable(other, table.mirrored);
      }
      seen.push_back(table.mirrored);
    }
    part.session->give_up_snapshot();
  }
}

// Before hours go into what ends with it. The tables are looked at twice for it, which takes
// seconds where there are thousands.
void check_extra_sql(const std::vector<SeedPart>& parts, const MirrorConfig& config) {
  if (config.extra_sql.empty()) return;
  for (const SeedPart& part : parts) part.session->check();
  rehearse(parts, config);
}

// Before hours go into what ends with them.
void check_indexes(const MirroredTable& table) {
  if (table.mode != TableMode::Mirror) return;
  for (const std::vector<std::string>& index : table.indexes) {
    for (const std::string& column : index) {
      if (has_column(table, column)) continue;
      throw daystream::ConfigError(
          fmt::format("\"indexes\" of table \"{}\" names a column \"{}\" that it has not",
                      table.name, column),
          "name one that it has; \"config check -d\" lists them");
    }
  }
}

// In transactions of their own where what they saw is on PostgreSQL's disk by the time they are
// copied: then a later seed can go on from there.
void load_part(SeedFile& file, SeedPart& part, const daystream::program::Signals& signals) {
  Database& db = file.db();
  SeedSession& session = *part.session;
  session.take_snapshot();
  for (const SeedTable& table : session.tables()) check_indexes(table.mirrored);
  file.begin(part);
  const auto set_whole = [&](std::size_t count) {
    if (db.in_transaction()) db.exec("COMMIT");
    std::fill_n(part.whole.begin(), count, true);
  };
  for (std::size_t i = 0; i < session.tables().size(); ++i) {
    if (part.whole[i]) continue;
    SeedTable& table = session.tables()[i];
    if (!db.in_transaction()) db.exec("BEGIN");
    load_table(db, session, table, signals);
    save_table(db, table.mirrored);
    if (session.is_flushed()) set_whole(i + 1);
  }
  session.finish();
  set_whole(part.whole.size());
}

struct Watch {
  steady_clock::time_point from = steady_clock::now();
  steady_clock::time_point indexes_from;
};

// What came of it, and how long it took: rows, then indexes and all that is beside them.
void tell_whole(const std::string& mirror, const std::vector<SeedPart>& parts, const Watch& watch) {
  std::size_t tables = 0;
  std::int64_t rows = 0;
  for (const SeedPart& part : parts) {
    tables += part.session->tables().size();
    for (const SeedTable& table : part.session->tables()) rows += table.mirrored.seed.rows;
  }
  const auto seconds = [](steady_clock::duration time) {
    return std::chrono::duration<double>(time).count();
  };
  const steady_clock::time_point now = steady_clock::now();
  std::error_code error;
  const auto bytes = static_cast<double>(std::filesystem::file_size(mirror, error));
  spdlog::info(
      "mirror \"{}\" is seeded{}: {}, {}, {:.1f} MiB in {:.1f} s, {:.1f} s of them indexes", mirror,
      parts.size() > 1 ? fmt::format(" from {} sources", parts.size()) : "",
      daystream::program::counted(tables, "table"), daystream::program::counted(rows, "row"),
      error ? 0 : bytes / (1 << 20), seconds(now - watch.from), seconds(now - watch.indexes_from));
}

}  // namespace

std::vector<SourceConfig> sources_of(const SeedOptions& options) {
  if (!options.config.sources.empty()) return options.config.sources;
  return {{.name = {},
           .daystream = options.daystream ? options.daystream.address() : "",
           .connection = options.conninfo,
           .tables = options.config.tables}};
}

void seed(const SeedOptions& options, const daystream::program::Signals& signals) {
  check_absent(options.mirror);
  if (options.config.sources.empty() && !options.daystream) {
    throw daystream::ConfigError("no daystream specified", "a new mirror needs --daystream DIR");
  }
  check_distinct({}, options.config.all_tables());
  std::vector<SeedPart> parts = open_parts(options, signals);
  check_shapes(parts);
  check_extra_sql(parts, options.config);
  std::optional<MirrorLock> owner;
  if (options.owner == nullptr) owner.emplace(options.mirror);
  Watch watch;
  std::optional<SeedFile> file;
  try {
    check_absent(options.mirror);
    file.emplace(options.mirror, signals);
    for (SeedPart& part : parts) {
      if (parts.size() > 1) spdlog::info("seeding from source \"{}\"", part.session->source());
      load_part(*file, part, signals);
    }
    watch.indexes_from = steady_clock::now();
    file->db().exec("BEGIN");
    complete_mirror(file->db(), parts, options.config);
    Database whole = file->finish();
    whole.exec("COMMIT");
    publish(std::move(whole), options.mirror);
  } catch (const Error& e) {
    const bool may_go_on = options.resumes && (e.retryable() || signals.stop_requested());
    std::size_t whole = 0;
    std::size_t tables = 0;
    for (const SeedPart& part : parts) {
      whole += part.whole_count();
      tables += part.session->tables().size();
    }
    file.reset();  // rolls back what is not whole
    if (may_go_on && whole > 0) {
      spdlog::info("the same command goes on: {} of {} tables are whole in \"{}.seeding\"", whole,
                   tables, options.mirror);
    } else {
      remove_loading_files(options.mirror);  // nothing of a failed seed stays
    }
    if (owner) owner->remove_file();
    throw;
  } catch (...) {
    // Out of memory, say: nothing of it stays either.
    file.reset();
    remove_loading_files(options.mirror);
    if (owner) owner->remove_file();
    throw;
  }
  tell_whole(options.mirror, parts, watch);
}

}  // namespace deltamirror
