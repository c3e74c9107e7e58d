#include "seed/seed_file.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <fstream>

#include "daystream/error.h"
#include "seed/requests.h"
#include "store/mirror_file.h"

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

}  // namespace

SeedFile::SeedFile(const std::string& mirror, SeedSession& session,
                   const std::filesystem::path& daystream)
    : session_(session),
      db_(open_for_loading(mirror, Loading::GoOn)),
      whole_(session.tables().size(), false) {
  bool resumed = false;
  try {
    resumed = resume(daystream);
  } catch (const daystream::Error& e) {
    spdlog::info("cannot go on with what an earlier seed has left: {}", e.what());
  }
  if (resumed) {
    spdlog::info("going on with an earlier seed: {} of {} tables are whole", whole_count(),
                 whole_.size());
    return;
  }
  whole_.assign(whole_.size(), false);
  db_ = open_for_loading(mirror, Loading::Anew);
  begin();
}

bool SeedFile::resume(const std::filesystem::path& directory) {
  if (!db_.value("SELECT 1 FROM sqlite_schema WHERE name = '_deltamirror_seeding'")) return false;
  {
    Statement select = db_.prepare(
        "SELECT boot_id, system_identifier, database, timeline, c, s, lsn, next FROM "
        "_deltamirror_seeding");
    const SourceServer& server = session_.server();
    if (!select.step() || select.text(0) != boot_id() ||
        select.text(1) != server.system_identifier || select.text(2) != server.database ||
        select.integer(3) != server.timeline) {
      return false;
    }
    seam_.position = {select.integer(4), static_cast<std::uint64_t>(select.integer(5))};
    seam_.lsn = daystream::Lsn::parse(select.text(6)).value_or(daystream::Lsn{});
    seam_.next = static_cast<std::uint64_t>(select.integer(7));
  }
  // Throws where what follows is no longer kept.
  const daystream::Reader reader(directory, {seam_.position, seam_.lsn});
  const std::vector<MirroredTable> loaded = load_tables(db_);
  for (const MirroredTable& table : loaded) {
    const auto asked =
        std::find_if(session_.tables().begin(), session_.tables().end(),
                     [&](const SeedTable& candidate) { return same_request(table, candidate); });
    if (asked == session_.tables().end()) return false;
    asked->mirrored = table;
    set_whole(static_cast<std::size_t>(asked - session_.tables().begin()));
  }
  return !loaded.empty();
}

void SeedFile::begin() {
  seam_ = session_.seam();
  db_.exec("BEGIN");
  create_catalog(db_);
  save_types(db_, session_.source(),
             session_.types());  // which resume() may need, to read a `where`
  db_.exec(
      "CREATE TABLE _deltamirror_seeding(boot_id TEXT, system_identifier TEXT, database TEXT, "
      "timeline INTEGER, c INTEGER, s INTEGER, lsn TEXT, next INTEGER)");
  {
    Statement insert = db_.prepare("INSERT INTO _deltamirror_seeding VALUES(?,?,?,?,?,?,?,?)");
    insert.bind(1, boot_id());
    insert.bind(2, session_.server().system_identifier);
    insert.bind(3, session_.server().database);
    insert.bind(4, std::int64_t{session_.server().timeline});
    insert.bind(5, seam_.position.c);
    insert.bind(6, static_cast<std::int64_t>(seam_.position.s));
    insert.bind(7, seam_.lsn.text());
    insert.bind(8, static_cast<std::int64_t>(seam_.next));
    insert.run();
  }
  db_.exec("COMMIT");
}

std::size_t SeedFile::whole_count() const noexcept {
  return static_cast<std::size_t>(std::count(whole_.begin(), whole_.end(), true));
}

daystream::Lsn SeedFile::consistent_at() const {
  daystream::Lsn last = session_.consistent_at();
  for (const SeedTable& table : session_.tables()) {
    last = std::max(last, table.mirrored.consistent_at);
  }
  return last;
}

Database SeedFile::finish() {
  db_.exec("DROP TABLE _deltamirror_seeding");
  return std::move(db_);
}

}  // namespace deltamirror
