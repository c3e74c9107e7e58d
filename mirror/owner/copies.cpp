#include "owner/copies.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "apply/needs_reseed.h"
#include "history/history_tables.h"
#include "model/joined.h"
#include "owner/stream_keeper.h"
#include "program/figures.h"
#include "program/hint.h"
#include "program/postgres.h"
#include "remote/fetch.h"
#include "seed/live_seed.h"
#include "seed/requests.h"
#include "seed/snapshot_source.h"
#include "snapshot/from_snapshot.h"
#include "src/calendar.h"
#include "store/shared_table.h"
#include "verify/live_mend.h"

namespace deltamirror {

using daystream::Error;
using daystream::now_us;
using nlohmann::json;
using std::chrono::steady_clock;

namespace {

constexpr std::chrono::seconds kBetweenReports{1};
// For a server to send what it has.
constexpr std::chrono::seconds kServerPatience{10};
// Before what a copy waits for is said.
constexpr std::chrono::seconds kReadyPatience{1};

std::string names_of(const std::vector<TableRequest>& tables) {
  return joined(tables, ", ", shown_name_for);
}

// Its server will never offer one.
bool is_without_snapshots(const Error& error, const CopyJob& job) {
  return job.request.from && !error.retryable() &&
         error.exit_code() == daystream::ExitCode::NeedsPerson &&
         dynamic_cast<const daystream::remote::NoSnapshot*>(&error) == nullptr;
}

// Where what PostgreSQL is not there to say may come from.
std::shared_ptr<NewerSnapshot> newer_of(const RunOptions& options) {
  NewerSnapshot::remove_left_over(options.mirror, options.source);
  const std::string from =
      options.from.empty() ? options.daystream.server().value_or("") : options.from;
  if (options.conninfo || from.empty()) return nullptr;
  return std::make_shared<NewerSnapshot>(options.mirror, options.source, from);
}

// nullptr: it is followed, or was removed.
const MirroredTable* find_absent(const Applier& applier, const std::string& name) {
  const std::vector<MirroredTable>& absent = applier.tables().absent();
  const auto found = std::find_if(absent.begin(), absent.end(),
                                  [&](const MirroredTable& table) { return table.name == name; });
  return found == absent.end() ? nullptr : &*found;
}

}  // namespace

Copies::Copies(Database& db, const RunOptions& options, const RunControl& control,
               ControlServer* server, CommitFeed* feed)
    : db_(db),
      options_(options),
      control_(control),
      server_(server),
      feed_(feed),
      newer_(newer_of(options)) {
  drop_shadows();
}

// Where each try fails, as on a full disk, each leaves some.
void Copies::drop_shadows() {
  WriteTransaction transaction(db_);
  const std::vector<std::string> dropped = Shadow::drop_left_over(db_, options_.source);
  const auto stored =
      dropped.empty() ? std::vector<MirroredTable>() : load_tables_of(db_, options_.source);
  for (const std::string& name : dropped) {
    const MirroredTable* const table = wished_as(stored, name);
    const auto text = waits_.said.met(fmt::format("dropped a half-made copy of table \"{}\"",
                                                  table == nullptr ? name : shown_name(*table)));
    if (text) spdlog::info("{}", *text);
  }
  transaction.commit();
}

CopyJob& Copies::ask(std::vector<TableRequest> tables, const std::string& conninfo,
                     std::uint64_t client) {
  check_distinct(load_tables(db_), tables);
  CopyJob& job = waiting_.emplace_back(job_of(std::move(tables), conninfo));
  if (client != 0) job.clients.push_back(client);
  return job;
}

CopyJob Copies::job_of(std::vector<TableRequest> tables, const std::string& conninfo) {
  CopyJob job;
  job.request = {
      .mirror = options_.mirror,
      .conninfo = conninfo,
      .daystream = options_.daystream,
      .tables = std::move(tables),
      .source = options_.source,
      .on_tables = on_tables_,
      .on_left_out = [this](const std::string& name, const std::string& why) {
        say_try(fmt::format("copying the other tables again: could not copy {}: {}", name, why));
      }};
  return job;
}

// Tables of it that cannot be copied now do not hold up the others. Where there is no connection
// they come from a snapshot.
CopyJob Copies::own_job(std::vector<TableRequest> tables) {
  CopyJob job = job_of(std::move(tables), options_.conninfo.value_or(""));
  job.request.unfit = Unfit::PassOver;
  job.request.places = options_.max_copies;
  job.request.from = newer_;
  return job;
}

bool Copies::ask_for_all(const Error& error) {
  if (!options_.conninfo && !newer_) return false;
  std::vector<TableRequest> tables;
  for (const MirroredTable& table : load_tables_of(db_, options_.source)) {
    // Also one that is not followed now: the snapshot may have it.
    const bool is_there = !table.is_static() && table.standing.state != TableState::Leaving;
    if (newer_ ? is_there : table.is_followed()) tables.push_back(wish_of(table));
  }
  CopyJob job = own_job(std::move(tables));
  job.only_rows = true;
  job.request.from_its_seam = true;
  job.request.why = error.what();
  job.request.help = error.hint();
  stall(error, std::move(job));
  // No line of the stream may say what has become of the others.
  retries_ = {};
  return true;
}

bool Copies::wait_for_running(const Error& error) {
  // A newer snapshot may be another day's.
  if (!running_ || stalled_ || running_->job.request.from) return false;
  stall(error, std::exchange(running_, std::nullopt)->job);
  return true;
}

void Copies::stall(const Error& error, CopyJob job) {
  spdlog::warn("{}: the mirror waits at its last commit until {} is copied", error.what(),
               names_of(job.request.tables));
  job.required = true;
  stalled_ = true;
  running_.reset();
  waiting_.push_front(std::move(job));
}

bool Copies::step(Applier& applier) {
  if (!running_) {
    if (waiting_.empty()) plan(applier);
    if (applier.pending()) return true;  // to be committed first
    const auto next = next_due();
    if (next == waiting_.end()) return false;
    start(next, applier);
  }
  try {
    return step_running(applier);
  } catch (const Error& e) {
    fail(e);
    return true;
  }
}

void Copies::try_now() {
  retries_.try_now();
  waits_.for_server.reset();
  for (CopyJob& job : waiting_) job.not_before = {};
}

bool Copies::any_soon(const Applier& applier) const {
  return any() || (options_.conninfo &&
                   std::any_of(applier.tables().absent().begin(), applier.tables().absent().end(),
                               [this](const MirroredTable& table) { return is_due(table); }));
}

bool Copies::is_due(const MirroredTable& table) const {
  return table.standing.state != TableState::Leaving && retries_.is_due(table);
}

void Copies::park_uncopied(Applier& applier) const {
  if (options_.conninfo) return;
  for (const MirroredTable& table : applier.tables().absent()) {
    const TableStanding& was = table.standing;
    if (was.state != TableState::Copying || !is_due(table)) continue;
    applier.tables().set_absence(table.name,
                                 {.state = TableState::Parked,
                                  .reason = was.reason.empty() ? "it has to be copied" : was.reason,
                                  .hint = newer_             ? kComesFromNewer
                                          : was.hint.empty() ? NeedsReseed::kCopyIt
                                                             : was.hint});
  }
}

// A row that could not be written has put it out soon after it was copied: the next copy would most
// likely end at the next row. Who ends with the stream comes to an end nevertheless.
void Copies::hold_back(Applier& applier) {
  if (!options_.conninfo || options_.end.is_of_stream()) return;
  for (const MirroredTable& table : applier.tables().absent()) {
    const TableStanding& was = table.standing;
    const bool of_row = was.reason.find(kAtTransaction) != std::string::npos;
    if (was.state != TableState::Copying || !retries_.must_wait(table, of_row)) continue;
    applier.tables().set_absence(
        table.name,
        {.state = TableState::Parked,
         .reason = was.reason,
         .hint =
             "look at what was put beside it, as a trigger or an index: \"deltamirror remove\" and "
             "\"seed\" bring it without these; it is copied again after pauses of up to 5 min, at "
             "SIGHUP at once"});
    retries_.waits(table);
  }
}

// One that does not fit what others have of it may fit once they have changed.
void Copies::look_at_others(const Applier& applier) {
  if (!retries_.is_time_to_look()) return;
  for (const MirroredTable& table : applier.tables().absent()) {
    const bool waits = table.standing.state == TableState::Parked && table.is_shared();
    if (waits) retries_.look(table, shape_of_others(db_, table));
  }
}

// What is wished for and not here is copied as soon as it can be: all tables that are due in one
// snapshot. Who ends with the stream has no time for one that may be on offer another day, and so
// much is not fetched for a table that PostgreSQL does not have.
void Copies::plan(Applier& applier) {
  park_uncopied(applier);
  hold_back(applier);
  look_at_others(applier);
  const bool ends = options_.end.is_of_stream();
  std::vector<TableRequest> wanted;
  for (const MirroredTable& table : applier.tables().absent()) {
    const bool can_be =
        options_.conninfo || (newer_ && !ends && table.standing.state == TableState::Parked);
    if (can_be && is_due(table)) wanted.push_back(wish_of(table));
  }
  retries_.forget_all_but(applier.tables().absent());
  if (wanted.empty()) return;
  waiting_.push_back(own_job(std::move(wanted)));
  // They must be in place before its end.
  if (ends) stalled_ = true;
}

void Copies::note_failure(const CopyJob& job, const std::vector<TableRequest>& tables,
                          Retries::From from) {
  const std::vector<MirroredTable> stored = load_tables_of(db_, options_.source);
  for (const TableRequest& request : tables) {
    if (const MirroredTable* const table = wished_as(stored, name_for(request))) {
      retries_.failed(*table, from, job.request.known_snapshot);
    }
  }
}

// Nothing goes before what the mirror stands still for.
std::deque<CopyJob>::iterator Copies::next_due() {
  const auto now = steady_clock::now();
  const auto last = stalled_ && !waiting_.empty() ? waiting_.begin() + 1 : waiting_.end();
  const auto due = std::find_if(waiting_.begin(), last,
                                [&](const CopyJob& job) { return job.not_before <= now; });
  return due == last ? waiting_.end() : due;
}

void Copies::start(const std::deque<CopyJob>::iterator& next, const Applier& applier) {
  drop_shadows();
  running_ = Running{.job = std::move(*next), .copy = {}};
  waiting_.erase(next);
  LiveSeedRequest& request = running_->job.request;
  if (running_->job.is_own()) leave_out_removed(request.tables);
  std::set<std::string> known;
  for (const TableRequest& table : request.tables) {
    const MirroredTable* const absent = find_absent(applier, name_for(table));
    if (absent == nullptr) continue;
    const daystream::Position at =
        retries_.begin(*absent, shape_of_others(db_, *absent), applier.committed().position);
    request.newer_than = std::max(request.newer_than, at);
    known.insert(retries_.snapshot_of(absent->name));
  }
  // One that each of them was looked for in.
  if (!request.from_its_seam && known.size() == 1) request.known_snapshot = *known.begin();
  start(applier.committed());
}

// Somebody may have removed a table while its copy waited.
void Copies::leave_out_removed(std::vector<TableRequest>& tables) const {
  const std::vector<MirroredTable> stored = load_tables_of(db_, options_.source);
  std::erase_if(tables, [&](const TableRequest& wanted) {
    return wished_as(stored, name_for(wanted)) == nullptr;
  });
}

// Each of its tables is there, defined as is asked for, with a key to find rows by. Where no line
// is about other tables, it must be the one that is wished by name, too.
bool Copies::can_mend(const CopyJob& job) const {
  const bool stands = job.request.from_its_seam;
  if (job.request.from || !job.only_rows || (stalled_ && !stands)) return false;
  const std::vector<MirroredTable> tables = load_tables_of(db_, options_.source);
  return std::all_of(
      job.request.tables.begin(), job.request.tables.end(), [&](const TableRequest& wanted) {
        const std::string name = name_for(wanted);
        const MirroredTable& table = find_table(tables, name);
        return table.is_followed() && !table.key().empty() && table.mode == TableMode::Mirror &&
               (!stands || name_now(table) == table.wish.table);
      });
}

// What each try says, until one had no trouble with a table: at once, and then once a minute; those
// in between are for who debugs.
void Copies::say_try(const std::string& what) {
  const auto text = waits_.tries.met(what);
  spdlog::log(text ? spdlog::level::info : spdlog::level::debug, "{}", text.value_or(what));
}

void Copies::start(const Checkpoint& at) {
  const CopyJob& job = running_->job;
  const std::string names = names_of(job.request.tables);
  // Not again at each look whether there is a place for it.
  const bool is_said = job.not_before == steady_clock::time_point{};
  running_->copy.reset();
  if (can_mend(job)) {
    if (is_said) say_try(fmt::format("comparing {} with PostgreSQL", names));
    running_->copy = std::make_unique<LiveMend>(db_, job.request, at, control_.signals);
  } else {
    const char* const from = job.request.from ? "a newer snapshot" : "PostgreSQL";
    if (is_said) say_try(fmt::format("copying {} from {}", names, from));
    running_->copy = std::make_unique<LiveSeed>(db_, job.request, at, control_.signals);
  }
  wake_.add(running_->copy->fd());
}

bool Copies::step_running(Applier& applier) {
  if (running_->stage != Running::Stage::Copying) {
    finish(applier);
    return true;
  }
  LiveCopy& copy = *running_->copy;
  const int fd = copy.fd();
  bool more = false;
  try {
    more = copy.step(applier.committed());
  } catch (const TooDifferent& e) {
    spdlog::info("copying the tables whole: {}", e.what());
    running_->job.only_rows = false;
    start(applier.committed());
    return true;
  }
  if (copy.fd() != fd) wake_.add(copy.fd());  // it has begun again
  tell_progress();
  if (!copy.ready()) return more;
  if (!may_install(applier)) {
    say_what_it_waits_for(applier);
    return more;
  }
  install(applier);
  return true;
}

// From install() on nothing can be committed before the mirror is at a commit together with the
// copy. Other sources are not to wait for that, nor is the copy to be made again for them: so all
// that leads there must be in the stream, and be due.
bool Copies::may_install(const Applier& applier) const {
  const LiveCopy& copy = *running_->copy;
  if (!stalled_) return applier.committed().lsn >= copy.consistent_at();
  if (now_us() - copy.taken_us() < std::chrono::microseconds(options_.delay).count()) return false;
  try {
    const auto extent = options_.daystream.extent();
    return extent && extent->last_lsn >= copy.consistent_at();
  } catch (const Error& e) {
    if (!e.retryable()) throw;
    return false;
  }
}

// A mirror that follows a stream at work is there at once.
void Copies::say_what_it_waits_for(const Applier& applier) {
  const auto now = steady_clock::now();
  if (!running_->ready_since) running_->ready_since = now;
  if (options_.delay.count() != 0 || now - *running_->ready_since < kReadyPatience) return;
  const std::string what =
      fmt::format("the copy of {} waits until the mirror is at {}",
                  names_of(running_->job.request.tables), running_->copy->consistent_at().text());
  const auto text = waits_.said.met(what);
  if (!text) return;
  const std::string whole = daystream::program::with_hint(
      *text, fmt::format("it is at {}: \"deltastream status\" shows whether anybody writes the "
                         "daystream",
                         applier.committed().lsn.text()));
  spdlog::warn("{}", whole);
  for (const std::uint64_t client : running_->job.clients) {
    server_->tell(client,
                  {{"state", "running"}, {"rows", running_->copy->rows()}, {"waits", whole}});
  }
}

bool Copies::is_soon_whole() const noexcept {
  return running_ && running_->stage == Running::Stage::Installing &&
         steady_clock::now() - running_->installed < kServerPatience;
}

void Copies::install(Applier& applier) {
  running_->stage = Running::Stage::Installing;
  running_->installed = steady_clock::now();
  running_->copy->install(applier);
  if (feed_ == nullptr || !running_->copy->replaces_tables()) return;
  for (const TableRequest& table : running_->job.request.tables) {
    feed_->whole_table(name_for(table));
  }
}

void Copies::committed() noexcept {
  if (running_ && running_->stage == Running::Stage::Installing) {
    running_->stage = Running::Stage::InPlace;
  }
}

// The copy is used up, and is made again.
void Copies::rolled_back() noexcept {
  if (!running_ || running_->stage != Running::Stage::Installing) return;
  waiting_.push_front(std::exchange(running_, std::nullopt)->job);
}

void Copies::tell_progress() {
  const auto now = steady_clock::now();
  if (now - running_->told < kBetweenReports) return;
  running_->told = now;
  const LiveCopy& copy = *running_->copy;
  json progress = {{"state", "running"}, {"rows", copy.rows()}};
  if (copy.expected_rows() >= 0) progress["expected_rows"] = copy.expected_rows();
  for (const std::uint64_t client : running_->job.clients) server_->tell(client, progress);
}

std::string Copies::shown_name_of(const TableProblem& problem) const {
  for (const TableRequest& table : running_->job.request.tables) {
    if (name_for(table) == problem.name) return shown_name_for(table);
  }
  return problem.name;
}

// Those that were said before are not said again.
void Copies::say_problems() const {
  for (const TableProblem& problem : running_->copy->problems()) {
    if (retries_.has_failed(problem.name)) continue;
    spdlog::warn("table {} is {}: {}", shown_name_of(problem), state_name(problem.absence.state),
                 daystream::program::with_hint(problem.absence.reason, problem.absence.hint));
  }
}

void Copies::finish(const Applier& applier) {
  std::vector<TableRequest> placed;
  std::vector<TableRequest> failed;
  for (const TableRequest& table : running_->job.request.tables) {
    const bool absent = find_absent(applier, name_for(table)) != nullptr;
    (absent ? failed : placed).push_back(table);
    if (!absent) retries_.placed(name_for(table));
  }
  say_problems();
  Running done = *std::exchange(running_, std::nullopt);
  if (newer_) {
    done.job.request.known_snapshot = newer_->id();
    newer_->drop();
  }
  note_failure(done.job, failed,
               done.job.request.from ? Retries::From::Snapshot : Retries::From::PostgreSQL);
  if (failed.empty()) forget_error(db_, options_.source);
  if (!placed.empty()) {
    spdlog::info("{}: {} in place, {} of them written", names_of(placed),
                 daystream::program::counted(done.copy->rows(), "row"), done.copy->written());
  }
  let_go(done.job);
  for (const std::uint64_t client : done.job.clients) {
    server_->done(client, {{"rows", done.copy->rows()}, {"written_rows", done.copy->written()}});
  }
  waits_ = Waits{.tries = failed.empty() ? daystream::program::Repeats() : waits_.tries};
  stalled_ = false;
  ended_ = true;
}

// What somebody has asked for is in the mirror now, or will not be.
void Copies::let_go(const CopyJob& job) const {
  if (options_.keeper && !job.clients.empty()) {
    options_.keeper->let_go(options_.source, job.request.tables);
  }
}

AfterError Copies::after_failure() const noexcept {
  return stalled_ ? AfterError::Waiting : AfterError::None;
}

// Called where `error` is handled: what ends the following is thrown on.
void Copies::fail(const Error& error) {
  if (db_.in_transaction()) throw;  // of a half-done install: see rolled_back()
  CopyJob job = std::exchange(running_, std::nullopt)->job;
  drop_shadows();
  if (control_.stop.requested()) return;
  if (dynamic_cast<const NoPlace*>(&error) != nullptr) return wait_for_place(error, std::move(job));
  if (dynamic_cast<const UnfitSnapshot*>(&error) != nullptr) {
    job.request.known_snapshot = newer_->id();
  }
  // What the stream does not have yet stays until it has.
  if (newer_ && !error.retryable()) newer_->drop();
  if (job.request.from && !job.required) return wait_for_snapshot(error, job);
  remember_error(db_, options_.source, error, after_failure());
  const bool ends = options_.end.is_of_stream() || is_without_snapshots(error, job);
  if (job.is_own() ? ends : job.required && !(error.retryable() && options_.end.seed_now.empty())) {
    // Who ends with the stream would end without these tables, and without a word.
    failed_ = true;
    throw;
  }
  const std::string names = names_of(job.request.tables);
  if (!job.is_own() && !job.required) {
    spdlog::error("could not copy {}: {}", names, error.what());
    let_go(job);
    for (const std::uint64_t client : job.clients) server_->failed(client, error);
    return;
  }
  if (const auto text = waits_.said.met(error.what())) {
    spdlog::warn(
        "{}", daystream::program::with_hint(
                  fmt::format("could not copy {}: {}; trying again", names, *text), error.hint()));
  }
  // That there is no server says nothing of the tables: they are not to wait for longer than that.
  if (job.required || dynamic_cast<const daystream::program::NotConnected*>(&error) != nullptr) {
    return try_later(std::move(job), waits_.for_server);
  }
  stalled_ = false;
  note_failure(job, job.request.tables, Retries::From::PostgreSQL);
}

// The tables are parked, and say so themselves: all else of the source is well.
void Copies::wait_for_snapshot(const Error& error, const CopyJob& job) {
  const std::vector<TableRequest>& tables = job.request.tables;
  const bool is_news = std::none_of(tables.begin(), tables.end(), [&](const TableRequest& table) {
    return retries_.has_failed(name_for(table));
  });
  spdlog::log(is_news ? spdlog::level::info : spdlog::level::debug,
              "could not copy {}: {}; trying again", names_of(tables), error.what());
  note_failure(
      job, tables,
      is_without_snapshots(error, job) ? Retries::From::NoSnapshot : Retries::From::Snapshot);
}

void Copies::try_later(CopyJob job, daystream::program::Pauses& pauses) {
  job.not_before = steady_clock::now() + pauses.next();
  stalled_ ? waiting_.push_front(std::move(job)) : waiting_.push_back(std::move(job));
}

// Others of the fleet are at it. What people ask for meanwhile goes before.
void Copies::wait_for_place(const Error& error, CopyJob job) {
  const std::string names = names_of(job.request.tables);
  if (const auto text = waits_.said.met(error.what())) {
    spdlog::info("waiting to copy {}: {}; {}", names, *text, error.hint());
  }
  remember_error(db_, options_.source, error, after_failure());
  try_later(std::move(job), waits_.for_place);
}

std::vector<std::string> Copies::tables() const {
  std::vector<std::string> names;
  const auto add = [&names](const CopyJob& job) {
    for (const TableRequest& table : job.request.tables) names.push_back(table.table);
  };
  if (running_) add(running_->job);
  for (const CopyJob& job : waiting_) add(job);
  return names;
}

void Copies::tell_status(json& status) const {
  status["stalled"] = stalled_;
  status["waiting"] = waiting_.size();
  if (!running_) return;
  std::vector<std::string> tables;
  for (const TableRequest& table : running_->job.request.tables)
    tables.push_back(shown_name_for(table));
  status["seeding"] = {{"tables", tables}, {"rows", running_->copy->rows()}};
}

}  // namespace deltamirror
