#include "owner/source_changes.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "apply/holding.h"
#include "apply/same_source.h"
#include "config/source_places.h"
#include "daystream/stream.h"
#include "history/history_tables.h"
#include "store/checkpoint.h"
#include "store/mirrored_table.h"

namespace deltamirror {

namespace {

Checkpoint end_of(const SourceConfig& source) {
  const daystream::Stream stream = open_stream(source.daystream);
  const daystream::Manifest manifest = stream.manifest();
  require_one_database(manifest, source.daystream);
  const auto extent = stream.extent();
  if (!extent) {
    throw daystream::Error(fmt::format("daystream \"{}\" has no line yet", source.daystream),
                           "start its deltastream first");
  }
  Checkpoint at;
  at.source = source.name;
  at.directory = stream.absolute_address();
  at.position = extent->last;
  at.lsn = extent->last_lsn;
  at.system_identifier = manifest.system_identifier;
  at.database = manifest.database;
  at.applied_at = timestamp_now();
  at.consistent_at = at.lsn;
  return at;
}

void check_other_database(const std::vector<Checkpoint>& all, const Checkpoint& begin) {
  for (const Checkpoint& at : all) {
    require_other_database(at.source, at.identity(), begin.source, begin.identity());
  }
}

}  // namespace

SourceChange compare_sources(const Database& db, const MirrorConfig& config) {
  SourceChange change;
  if (config.sources.empty()) return change;
  std::vector<Checkpoint> kept = load_checkpoints(db);
  const std::string has = names_of(kept);
  std::erase_if(kept, [&](const Checkpoint& at) {
    if (config.source(at.source) != nullptr) return false;
    change.remove.push_back(at.source);
    return true;
  });
  if (kept.empty()) {
    throw daystream::ConfigError(
        fmt::format("the configuration names none of the mirror's sources: it has {}", has),
        "seed another mirror with it");
  }
  for (const SourceConfig& source : config.sources) {
    if (find_source(kept, source.name) != nullptr) continue;
    Checkpoint begin = end_of(source);
    check_other_database(kept, begin);
    change.add.push_back(begin);
    kept.push_back(std::move(begin));
  }
  return change;
}

void begin_source(Database& db, const Checkpoint& at) {
  WriteTransaction transaction(db);
  save_checkpoint(db, at);
  transaction.commit();
  spdlog::info("source \"{}\" is new: its tables are copied", at.source);
}

void remove_source(Database& db, const std::string& name) {
  WriteTransaction transaction(db);
  for (const MirroredTable& table : load_tables_of(db, name)) remove_mirrored(db, table);
  for (const char* catalog : {"types", "changes", "errors", "checkpoint"}) {
    Statement remove =
        db.prepare(fmt::format("DELETE FROM _deltamirror_{} WHERE source = ?", catalog));
    remove.bind(1, name);
    remove.run();
  }
  transaction.commit();
  spdlog::warn("removed source \"{}\" with its tables: the configuration does not name it", name);
}

}  // namespace deltamirror
