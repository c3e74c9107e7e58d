#include "verify.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <optional>

#include "applier.h"
#include "daystream/reader.h"
#include "holding.h"
#include "mirror_file.h"
#include "owner.h"
#include "row_compare.h"
#include "seed_session.h"
#include "verify_point.h"

namespace deltamirror {

using daystream::Reader;
using daystream::Transaction;

namespace {

// So many are named; the rest is counted.
constexpr std::uint64_t kNamed = 1000;

// A copy of a mirror, gone when it is no longer needed.
class Copy {
 public:
  explicit Copy(const std::string& mirror) : path_(mirror + ".verify") {
    remove();
    const Database from = open_for_reading(mirror);
    Database to(path_, Database::Mode::Create);
    // Nobody needs it after a crash.
    to.exec("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE");
    sqlite3_backup* backup = sqlite3_backup_init(to.raw(), "main", from.raw(), "main");
    // In one step: a copy in several begins again whenever the mirror changes.
    if (backup != nullptr) sqlite3_backup_step(backup, -1);
    const int code = backup == nullptr ? sqlite3_errcode(to.raw()) : sqlite3_backup_finish(backup);
    if (code != SQLITE_OK) {
      remove();
      throw SqliteError(
          fmt::format("could not copy \"{}\" to \"{}\": {}", mirror, path_, sqlite3_errstr(code)),
          code);
    }
  }
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;
  ~Copy() { remove(); }

  Database open() const {
    Database db(path_, Database::Mode::ReadWrite);
    db.exec("PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536");
    return db;
  }

 private:
  void remove() noexcept {
    for (const char* suffix : {"", "-wal", "-shm", "-journal"}) unlink((path_ + suffix).c_str());
  }
  std::string path_;
};

}  // namespace

VerifyResult verify(const VerifyOptions& options, const daystream::program::Signals& signals) {
  const std::vector<MirroredTable> tables = load_tables(open_for_reading(options.mirror));
  std::optional<Owner> owner;
  std::optional<Copy> copy;
  if (options.repair) {
    owner.emplace(options.mirror);
  } else {
    copy.emplace(options.mirror);
  }
  Database db = options.repair ? open_owned(options.mirror) : copy->open();
  const Checkpoint at = load_checkpoint(db);

  SeedSession session(options.conninfo, options.daystream, request_of(tables), signals);
  take_snapshot_seeing(session, options.daystream, at);

  Reader reader(options.daystream, {at.position, at.lsn});
  const daystream::Holding* holding = holding_at(reader.manifest(), at.position);
  Applier applier(db, holding == nullptr ? std::nullopt : std::optional(*holding),
                  [&] { return signals.stop_requested(); });
  applier.compare_with(session.snapshot());
  read_to_snapshot(
      reader, session, options.conninfo, signals, [&] { return applier.reached().lsn; },
      [&](Transaction& transaction) { applier.apply(transaction); });

  VerifyResult result;
  const auto tell = [&](const std::string& what) {
    if (++result.differences <= kNamed) fmt::print("{}\n", what);
  };
  for (const SeedTable& source : session.tables()) {
    const MirroredTable* table = applier.table(source.relation.oid);
    if (table == nullptr) {
      throw daystream::NeedsPerson(
          fmt::format("table \"{}\" is not the one that was seeded (OID {})",
                      source.relation.name.display(), source.relation.oid),
          "seed the mirror again");
    }
    RowCompare compare(db, *table, options.repair, tell);
    compare.run(session, source);
    fmt::print("{}: {} rows, {} differ\n", table->name, compare.rows(), compare.differences());
    result.rows += compare.rows();
    if (compare.differences() > 0) result.tables.push_back(table->name);
  }
  if (result.differences > kNamed) {
    fmt::print("... and {} more\n", result.differences - kNamed);
  }
  session.finish();
  if (options.repair && result.differences > 0) {
    applier.rebase(session.snapshot(), session.consistent_at(), session.server().timeline,
                   session.seam());
    applier.commit();
    spdlog::info("mended {} rows", result.differences);
  }
  return result;
}

}  // namespace deltamirror
