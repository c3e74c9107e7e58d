#include "seed/seed_file.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "daystream/error.h"
#include "daystream/manifest.h"
#include "history/history_tables.h"
#include "seed/load_table.h"
#include "seed/requests.h"
#include "store/checkpoint.h"
#include "store/indexes.h"
#include "store/mirror_file.h"
#include "store/shared_table.h"
#include "store/wal_keeper.h"

namespace deltamirror {

namespace {

std::string boot_id() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(in, id);
  return id;
}

// As asked for: the shape may have changed since, which replay will hear of.
bool same_request(const MirroredTable& loaded, const SeedTable& asked) {
  const TableRequest has = request_for(loaded);
  return loaded.name == asked.mirrored.name && loaded.shape.oid == asked.mirrored.shape.oid &&
         loaded.source_table == asked.mirrored.source_table &&
         has.indexes == asked.request.indexes && has.keep_days == asked.request.keep_days &&
         same_definition(has, asked.request);
}

constexpr const char* kCannotGoOn = "cannot go on with what an earlier seed has left: {}";

Database open_what_is_left(const std::string& mirror) {
  try {
    return open_for_loading(mirror, Loading::GoOn);
  } catch (const SqliteError& e) {
    spdlog::info(kCannotGoOn, e.what());
    return open_for_loading(mirror, Loading::Anew);
  }
}

}  // namespace

std::size_t SeedPart::whole_count() const noexcept {
  return static_cast<std::size_t>(std::count(whole.begin(), whole.end(), true));
}

daystream::Lsn SeedPart::consistent_at() const {
  daystream::Lsn last = session->consistent_at();
  for (const SeedTable& table : session->tables()) {
    last = std::max(last, table.mirrored.seed.consistent_at);
  }
  return last;
}

void complete_mirror(Database& db, const std::vector<SeedPart>& parts, const MirrorConfig& config) {
  for (const MirroredTable& table : load_tables(db)) {
    const bool asked = std::any_of(parts.begin(), parts.end(), [&](const SeedPart& part) {
      return part.session->source() == table.source;
    });
    if (asked) {
      create_missing_indexes(db, table);
    } else {
      remove_mirrored(db, table);  // left by a seed of more sources
    }
  }
  run_extra_sql(db, config.extra_sql);
  for (const SeedPart& part : parts) {
    for (SeedTable& table : part.session->tables()) {
      if (table.mirrored.mode == TableMode::Mirror) continue;
      table.mirrored.kept.from = part.seam.position;
      table.mirrored.kept.from_lsn = part.seam.lsn;
      save_table(db, table.mirrored);
      begin_history(db, table.mirrored);
    }
    save_types(db, part.session->source(), part.session->types());
    save_checkpoint(
        db, first_checkpoint(*part.session, part.daystream, part.seam, part.consistent_at()));
  }
  analyze(db);
}

SeedFile::SeedFile(const std::string& mirror, const daystream::program::Signals& signals)
    : mirror_(mirror), signals_(signals), db_(open_what_is_left(mirror)) {}

void SeedFile::begin(SeedPart& part) {
  const bool first = !std::exchange(any_, true);
  part.whole.assign(part.session->tables().size(), false);
  try {
    if (resume(part)) {
      spdlog::info("going on with an earlier seed: {} of {} tables are whole", part.whole_count(),
                   part.whole.size());
      return;
    }
  } catch (const daystream::Error& e) {
    if (signals_.stop_requested()) throw;
    spdlog::info(kCannotGoOn, e.what());
  }
  part.whole.assign(part.session->tables().size(), false);
  if (first) {
    db_ = open_for_loading(mirror_, Loading::Anew);
    create_catalog(db_);
    db_.exec(
        "CREATE TABLE _deltamirror_seeding(source TEXT PRIMARY KEY, boot_id TEXT, "
        "system_identifier TEXT, database TEXT, timeline INTEGER, c INTEGER, s INTEGER, lsn TEXT, "
        "next INTEGER)");
  }
  begin_anew(part);
}

bool SeedFile::resume(SeedPart& part) {
  if (!db_.value("SELECT 1 FROM sqlite_schema WHERE name = '_deltamirror_seeding'")) return false;
  SeedSession& session = *part.session;
  {
    Statement select = db_.prepare(
        "SELECT boot_id, system_identifier, database, timeline, c, s, lsn, next FROM "
        "_deltamirror_seeding WHERE source = ?");
    select.bind(1, session.source());
    const PgServer& server = session.server();
    if (!select.step() || select.text(0) != boot_id() ||
        daystream::SourceIdentity{select.text(1), select.text(2), {}} != server.identity() ||
        select.integer(3) != server.timeline) {
      return false;
    }
    part.seam.position = {select.integer(4), static_cast<std::uint64_t>(select.integer(5))};
    part.seam.lsn = daystream::Lsn::parse(select.text(6)).value_or(daystream::Lsn{});
    part.seam.next = static_cast<std::uint64_t>(select.integer(7));
  }
  // Throws where what follows is no longer kept.
  const daystream::Reader reader(part.daystream, {part.seam.position, part.seam.lsn});
  const std::vector<MirroredTable> loaded = load_tables_of(db_, session.source());
  for (const MirroredTable& table : loaded) {
    const auto asked =
        std::find_if(session.tables().begin(), session.tables().end(),
                     [&](const SeedTable& candidate) { return same_request(table, candidate); });
    if (asked == session.tables().end()) return false;
    asked->mirrored = table;
    part.whole.at(static_cast<std::size_t>(asked - session.tables().begin())) = true;
  }
  if (loaded.empty()) return false;
  check_whole();
  return true;
}

// Its tables are not read again before the mirror is. This costs far less than to copy them.
void SeedFile::check_whole() {
  if (std::exchange(checked_, true)) return;
  db_.give_up_when(signals_.stop());
  const auto found = db_.value("PRAGMA quick_check(1)");
  if (found == "ok") return;
  throw SqliteError(fmt::format("file \"{}\" is damaged: {}", db_.path(), found.value_or("")),
                    SQLITE_CORRUPT);
}

void SeedFile::begin_anew(SeedPart& part) {
  const SeedSession& session = *part.session;
  part.seam = session.seam();
  db_.exec("BEGIN");
  for (const MirroredTable& left : load_tables_of(db_, session.source())) {
    remove_mirrored(db_, left);
  }
  save_types(db_, session.source(), session.types());  // which resume() may need, to read a `where`
  {
    Statement insert =
        db_.prepare("INSERT OR REPLACE INTO _deltamirror_seeding VALUES(?,?,?,?,?,?,?,?,?)");
    insert.bind(1, session.source());
    insert.bind(2, boot_id());
    insert.bind(3, session.server().system_identifier);
    insert.bind(4, session.server().database);
    insert.bind(5, std::int64_t{session.server().timeline});
    insert.bind(6, part.seam.position.c);
    insert.bind(7, static_cast<std::int64_t>(part.seam.position.s));
    insert.bind(8, part.seam.lsn.text());
    insert.bind(9, static_cast<std::int64_t>(part.seam.next));
    insert.run();
  }
  db_.exec("COMMIT");
}

Database SeedFile::finish() {
  db_.exec("DROP TABLE _deltamirror_seeding");
  return std::move(db_);
}

}  // namespace deltamirror
