#include "fleet/report_store.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "calendar.h"
#include "daystream/error.h"
#include "dir.h"
#include "program/sqlite.h"

namespace daystream::fleet {

using program::Database;
using program::Statement;

namespace {

constexpr const char* kFormat = "1";

constexpr const char* kSchema = R"(
CREATE TABLE report(mirror TEXT PRIMARY KEY, told_at INTEGER NOT NULL, report TEXT NOT NULL);
CREATE TABLE heard(mirror TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE event(id INTEGER PRIMARY KEY, mirror TEXT NOT NULL, at INTEGER NOT NULL,
                   state TEXT NOT NULL, revision INTEGER, trouble TEXT NOT NULL);
CREATE TABLE forgotten(mirror TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX event_of_mirror ON event(mirror, id);
)";

// Those before had none. What became of a command is known for as long as mirrors say so.
constexpr const char* kOutcomeSchema = R"(
CREATE TABLE IF NOT EXISTS outcome(command TEXT, mirror TEXT, state TEXT NOT NULL,
  result TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY(command, mirror)) WITHOUT ROWID;
)";
constexpr std::int64_t kOutcomesKeptS = 62 * 86400;  // longer than the files of commands

void remove(Database& db, const std::string& mirror) {
  for (const char* table : {"report", "heard", "event"}) {
    Statement statement = db.prepare(fmt::format("DELETE FROM {} WHERE mirror = ?", table));
    statement.bind(1, std::string_view(mirror));
    statement.run();
  }
}

ReportStore::Forgotten forgotten_in(const Database& db) {
  Statement select = db.prepare("SELECT mirror, at FROM forgotten");
  ReportStore::Forgotten out;
  while (select.step()) out.emplace_back(select.text(0), select.integer(1));
  return out;
}

}  // namespace

ReportStore::ReportStore(const std::filesystem::path& directory)
    : file_(directory / kFolder / "reports.db") {
  program::database_noun = "file of reports";
}

bool ReportStore::exists() const {
  std::error_code error;
  return std::filesystem::exists(file_, error);
}

void ReportStore::open_for_writing() {
  make_directory(file_.parent_path());
  Database db(file_.string(), Database::Mode::Create);
  // A reader without any right to write needs no -shm.
  db.exec("PRAGMA journal_mode = TRUNCATE");
  const std::string format = db.value("PRAGMA user_version").value_or("0");
  if (format == kFormat) return db.exec(kOutcomeSchema);
  if (format != "0") {
    throw NeedsPerson(fmt::format("file of reports \"{}\" is of another format", file_.string()),
                      "remove it: mirrors say again what is in it");
  }
  program::WriteTransaction making(db);
  db.exec(kSchema);
  db.exec(kOutcomeSchema);
  db.exec(fmt::format("PRAGMA user_version = {}", kFormat));
  making.commit();
}

MirrorReports ReportStore::load() const {
  const Database db(file_.string(), Database::Mode::ReadOnly);
  Statement select = db.prepare(
      "SELECT mirror, coalesce(heard.at, told_at), report FROM report LEFT JOIN heard USING "
      "(mirror)");
  MirrorReports out;
  while (select.step()) {
    const std::string name = select.text(0);
    auto report = parse_report(name, select.text(2), select.integer(1));
    if (report) out[name] = std::make_shared<const MirrorReport>(std::move(*report));
  }
  return out;
}

std::vector<ReportEvent> ReportStore::events(const std::string& mirror) const {
  const Database db(file_.string(), Database::Mode::ReadOnly);
  Statement select =
      db.prepare("SELECT at, state, revision, trouble FROM event WHERE mirror = ? ORDER BY id");
  select.bind(1, std::string_view(mirror));
  std::vector<ReportEvent> out;
  while (select.step()) {
    ReportEvent& event = out.emplace_back();
    event.mirror = mirror;
    event.at = select.integer(0);
    event.state = select.text(1);
    if (!select.is_null(2)) event.revision = static_cast<std::uint64_t>(select.integer(2));
    event.trouble = select.text(3);
  }
  return out;
}

program::CommandOutcomes ReportStore::outcomes() const {
  const Database db(file_.string(), Database::Mode::ReadOnly);
  program::CommandOutcomes out;
  if (!db.value("SELECT 1 FROM sqlite_schema WHERE name = 'outcome'")) return out;
  Statement select = db.prepare("SELECT command, mirror, state, result, at FROM outcome");
  while (select.step()) {
    const std::string id = select.text(0);
    out[id][select.text(1)] = {id, select.text(2), select.text(3), at_second(select.integer(4))};
  }
  return out;
}

void ReportStore::forget(const std::string& mirror, std::int64_t now) {
  Database db(file_.string(), Database::Mode::ReadWrite);
  program::WriteTransaction writing(db);
  remove(db, mirror);
  Statement insert = db.prepare("INSERT OR REPLACE INTO forgotten VALUES (?, ?)");
  insert.bind(1, std::string_view(mirror));
  insert.bind(2, now);
  insert.run();
  writing.commit();
}

ReportStore::Forgotten ReportStore::save(const ReportBatch& batch) {
  const std::lock_guard lock(writing_);
  Database db(file_.string(), Database::Mode::ReadWrite);
  db.exec("PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = NORMAL");
  if (batch.empty() && forgotten_in(db).empty()) return {};
  program::WriteTransaction writing(db);
  Forgotten forgotten = forgotten_in(db);
  db.exec("DELETE FROM forgotten");
  Statement report = db.prepare("INSERT OR REPLACE INTO report VALUES (?, ?, ?)");
  for (const auto& each : batch.reports) {
    report.bind(1, std::string_view(each->name));
    report.bind(2, each->told_at);
    report.bind(3, std::string_view(each->text));
    report.run();
  }
  Statement heard = db.prepare("INSERT OR REPLACE INTO heard VALUES (?, ?)");
  for (const auto& [mirror, at] : batch.heard) {
    heard.bind(1, std::string_view(mirror));
    heard.bind(2, at);
    heard.run();
  }
  Statement event =
      db.prepare("INSERT INTO event(mirror, at, state, revision, trouble) VALUES (?, ?, ?, ?, ?)");
  Statement prune = db.prepare(
      fmt::format("DELETE FROM event WHERE mirror = ?1 AND id <= (SELECT id FROM event WHERE "
                  "mirror = ?1 ORDER BY id DESC LIMIT 1 OFFSET {})",
                  kMostEvents));
  for (const ReportEvent& each : batch.events) {
    event.bind(1, std::string_view(each.mirror));
    event.bind(2, each.at);
    event.bind(3, std::string_view(each.state));
    event.bind_null(4);
    if (each.revision) event.bind(4, static_cast<std::int64_t>(*each.revision));
    event.bind(5, std::string_view(each.trouble));
    event.run();
    prune.bind(1, std::string_view(each.mirror));
    prune.run();
  }
  Statement outcome = db.prepare("INSERT OR REPLACE INTO outcome VALUES (?, ?, ?, ?, ?)");
  for (const auto& [mirror, each] : batch.outcomes) {
    outcome.bind(1, std::string_view(each.id));
    outcome.bind(2, std::string_view(mirror));
    outcome.bind(3, std::string_view(each.state));
    outcome.bind(4, std::string_view(each.result));
    outcome.bind(5, static_cast<std::int64_t>(each.at.time_since_epoch().count()));
    outcome.run();
  }
  if (!batch.outcomes.empty()) {
    db.exec(fmt::format("DELETE FROM outcome WHERE at < unixepoch() - {}", kOutcomesKeptS));
  }
  for (const std::string& mirror : batch.gone) remove(db, mirror);
  writing.commit();
  return forgotten;
}

}  // namespace daystream::fleet
