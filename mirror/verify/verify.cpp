#include "verify/verify.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <optional>

#include "apply/applier.h"
#include "apply/holding.h"
#include "daystream/reader.h"
#include "program/figures.h"
#include "seed/seed_session.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"
#include "verify/overlay.h"
#include "verify/row_compare.h"
#include "verify/verify_point.h"

namespace deltamirror {

using daystream::Reader;
using daystream::Transaction;

namespace {

// A copy of a mirror, gone when it is no longer needed.
class Copy {
 public:
  // As the connection sees it: in the state of its read transaction, if it is in one.
  explicit Copy(const Database& from) : path_(beside(from.path(), ".verify")) {
    remove();
    Database to(path_, Database::Mode::Create);
    // Nobody needs it after a crash.
    to.exec(
        "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE");
    sqlite3_backup* backup = sqlite3_backup_init(to.raw(), "main", from.raw(), "main");
    // In one step: a copy in several begins again whenever the mirror changes.
    if (backup != nullptr) sqlite3_backup_step(backup, -1);
    const int code = backup == nullptr ? sqlite3_errcode(to.raw()) : sqlite3_backup_finish(backup);
    if (code != SQLITE_OK) {
      remove();
      throw SqliteError(fmt::format("could not copy \"{}\" to \"{}\": {}", from.path(), path_,
                                    sqlite3_errstr(code)),
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

// One comparison of all tables.
class Verification {
 public:
  Verification(const VerifyOptions& options, const daystream::program::Signals& signals,
               VerifyReport& report)
      : options_(options), signals_(signals), report_(report) {}

  std::vector<std::string> run() {
    // The owner first: nobody then writes to what is opened.
    if (options_.repair) owner_.emplace(options_.mirror);
    Database db = options_.repair ? open_owned(options_.mirror) : open_for_reading(options_.mirror);
    if (!options_.repair) db.exec("BEGIN");
    at_ = load_checkpoint(db, options_.source);
    const std::vector<MirroredTable> tables = comparable_tables(db, options_.source, report_);
    session_.emplace(options_.conninfo, options_.daystream, request_of(tables), signals_);
    take_snapshot_seeing(*session_, options_.daystream, at_);
    if (options_.repair) {
      compare_brought(db);
    } else if (Overlay overlay(db, tables);
               lay_over(overlay, *session_, options_.daystream, at_, options_.conninfo, signals_)) {
      compare(db, &overlay, [&](std::uint32_t oid) { return find_table(tables, oid); });
      session_->finish();
    } else {
      spdlog::info("comparing a copy of the mirror: more than some rows has changed since {}",
                   at_.lsn.text());
      const Copy copy(db);
      db.exec("COMMIT");
      Database copied = copy.open();
      compare_brought(copied);
    }
    return std::move(different_);
  }

 private:
  // Brings the database itself to the snapshot.
  void compare_brought(Database& db) {
    Reader reader(options_.daystream, {at_.position, at_.lsn});
    const daystream::Holding* holding = reader.manifest().holding_at(at_.position);
    Applier applier(db, holding == nullptr ? std::nullopt : std::optional(*holding),
                    signals_.stop(), options_.source);
    applier.tables().compare_with(session_->snapshot());
    read_to_snapshot(
        reader, *session_, options_.conninfo, signals_, [&] { return applier.reached().lsn; },
        [&](Transaction& transaction) { applier.apply(transaction); });
    compare(db, nullptr, [&](std::uint32_t oid) {
      const TrackedTable* const followed = applier.tables().followed().by_oid(oid);
      return followed == nullptr ? nullptr : &followed->table;
    });
    session_->finish();
    if (!options_.repair || differences_ == 0) return;
    applier.rebase(session_->snapshot(), session_->consistent_at(), session_->server().timeline,
                   session_->seam());
    applier.commit();
    spdlog::info("mended {}", daystream::program::counted(differences_, "row"));
  }

  template <typename TableOf>
  void compare(Database& db, const Overlay* overlay, const TableOf& table_of) {
    const auto tell = [&](const RowDifference& found) { report_.difference(found.what); };
    for (const SeedTable& source : session_->tables()) {
      const MirroredTable& table = require_seeded(table_of(source.relation.oid), source);
      RowCompare rows(db, table, options_.repair, tell, overlay);
      rows.run(*session_, source);
      report_.compared(table.name, rows.rows(), rows.differences());
      differences_ += rows.differences();
      if (rows.differences() > 0) different_.push_back(table.name);
    }
  }

  const VerifyOptions& options_;
  const daystream::program::Signals& signals_;
  std::optional<MirrorLock> owner_;
  Checkpoint at_;
  std::optional<SeedSession> session_;
  VerifyReport& report_;
  std::uint64_t differences_ = 0;
  std::vector<std::string> different_;  // tables
};

}  // namespace

std::vector<std::string> verify(const VerifyOptions& options,
                                const daystream::program::Signals& signals, VerifyReport& report) {
  return Verification(options, signals, report).run();
}

}  // namespace deltamirror
