#include "owner/owner_work.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "apply/needs_reseed.h"
#include "program/counted.h"
#include "seed/live_seed.h"
#include "seed/requests.h"
#include "store/last_events.h"
#include "verify/live_mend.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Error;
using nlohmann::json;
using std::chrono::steady_clock;

namespace {

constexpr std::chrono::seconds kBetweenAttempts{5};
// Between attempts to copy a table that cannot be copied now.
constexpr std::chrono::seconds kShortestPause{1};
constexpr std::chrono::seconds kLongestPause{300};
constexpr std::chrono::seconds kBetweenSayings{60};
constexpr std::chrono::seconds kBetweenReports{1};

std::string names_of(const std::vector<TableRequest>& tables) {
  std::string out;
  for (const TableRequest& table : tables) out += (out.empty() ? "" : ", ") + name_for(table);
  return out;
}

}  // namespace

OwnerWork::OwnerWork(Database& db, const RunOptions& options, const RunControl& control,
                     ControlServer* server, CommitFeed* feed)
    : db_(db),
      options_(options),
      control_(control),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      server_(server),
      feed_(feed),
      read_config_(!options.config_file.empty() && options.seed_now.empty()),
      on_trouble_(options.on_trouble.value_or(OnTrouble::Hide)) {
  if (!epoll_) throw daystream::IoError("could not wait for work", errno);
  drop_shadows();
  if (!options_.seed_now.empty()) {
    want(options_.seed_now, connection(std::nullopt), 0).required = true;
  }
}

void OwnerWork::hear(SourceRequest request) {
  const std::lock_guard lock(heard_mutex_);
  heard_.push_back(std::move(request));
  heard_requests_ = true;
}

std::optional<SourceRequest> OwnerWork::next_request() {
  const std::lock_guard lock(heard_mutex_);
  if (heard_.empty()) return std::nullopt;
  SourceRequest request = std::move(heard_.front());
  heard_.pop_front();
  heard_requests_ = !heard_.empty();
  return request;
}

OwnerWork::~OwnerWork() {
  // Who asked hears it from the closed connection.
  seed_.reset();
}

void OwnerWork::watch(int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    throw daystream::IoError("could not wait for work", errno);
  }
}

void OwnerWork::drop_shadows() {
  WriteTransaction transaction(db_);
  for (const std::string& name : Shadow::drop_left_over(db_, options_.source)) {
    spdlog::info("dropped a half-made copy of table \"{}\"", name);
  }
  transaction.commit();
}

const std::string& OwnerWork::connection(const std::optional<std::string>& given) const {
  if (given) return *given;
  if (options_.conninfo) return *options_.conninfo;
  throw ConfigError("the process that owns the mirror has no connection to PostgreSQL",
                    "give -d CONNINFO with the request, or to \"deltamirror run\"");
}

OwnerWork::Job& OwnerWork::want(std::vector<TableRequest> tables, const std::string& conninfo,
                                std::uint64_t client) {
  check_distinct(load_tables(db_), tables);
  Job job;
  job.request = {.mirror = options_.mirror,
                 .conninfo = conninfo,
                 .daystream = options_.daystream,
                 .config = {},
                 .source = options_.source};
  job.request.config.tables = std::move(tables);
  if (client != 0) job.clients.push_back(client);
  waiting_.push_back(std::move(job));
  return waiting_.back();
}

// Each of its tables is there, defined as is asked for, with a key to find rows by.
bool OwnerWork::can_mend(const Job& job) const {
  if (!job.only_rows || job.required || stalled_) return false;
  const std::vector<MirroredTable> tables = load_tables_of(db_, options_.source);
  return std::all_of(job.request.config.tables.begin(), job.request.config.tables.end(),
                     [&](const TableRequest& wanted) {
                       const MirroredTable& table = find_table(tables, name_for(wanted));
                       return table.is_followed() && !table.key().empty() &&
                              table.mode == TableMode::Mirror;
                     });
}

bool OwnerWork::step(Applier& applier) {
  if (heard_reload_.exchange(false)) read_config_ = true;
  if (read_config_) {
    read_config_ = false;
    reload(applier);
  }
  while (const auto request = next_request()) handle(*request, applier);
  if (applier.pending()) return true;  // to be committed first
  if (seed_ == nullptr) {
    if (waiting_.empty()) plan_copies(applier);
    if (applier.pending()) return true;
    if (waiting_.empty() || steady_clock::now() < try_again_) return false;
    start_next(applier);
  }
  try {
    return seed_step(applier);
  } catch (const Error& e) {
    fail_seed(e);
    return true;
  }
}

bool OwnerWork::has_copies(const Applier& applier) const {
  return copying() || (options_.conninfo &&
                       std::any_of(applier.absent().begin(), applier.absent().end(),
                                   [this](const MirroredTable& table) { return is_due(table); }));
}

bool OwnerWork::is_due(const MirroredTable& table) const {
  if (table.state == TableState::Leaving) return false;
  const auto found = tries_.find(table.name);
  return found == tries_.end() || found->second.since != table.since ||
         steady_clock::now() >= found->second.next;
}

// A copy that nobody has asked for: tables that cannot be copied now do not hold up the others.
// Only where there is a connection.
OwnerWork::Job OwnerWork::own_job() const {
  Job job;
  job.request = {.mirror = options_.mirror,
                 .conninfo = *options_.conninfo,
                 .daystream = options_.daystream,
                 .config = {},
                 .source = options_.source,
                 .unfit = Unfit::PassOver};
  return job;
}

// What is wished for and not here is copied as soon as it can be: all tables that are due in one
// snapshot.
void OwnerWork::plan_copies(Applier& applier) {
  std::vector<TableRequest> wanted;
  for (const MirroredTable& table : applier.absent()) {
    if (!is_due(table)) continue;
    if (options_.conninfo) {
      wanted.push_back(wish_of(table));
    } else if (table.state == TableState::Copying) {
      applier.set_absence(table.name,
                          {.state = TableState::Parked,
                           .reason = table.reason.empty() ? "it has to be copied" : table.reason,
                           .hint = NeedsReseed::kCopyIt});
    }
  }
  std::erase_if(tries_, [&](const auto& each) {
    return std::none_of(applier.absent().begin(), applier.absent().end(),
                        [&](const MirroredTable& table) { return table.name == each.first; });
  });
  if (wanted.empty()) return;
  Job job = own_job();
  job.request.config.tables = std::move(wanted);
  waiting_.push_back(std::move(job));
  // Who ends with the stream must not come to its end before they are in place.
  if (options_.once || options_.until) stalled_ = true;
}

// They are tried again after pauses that grow; at once where a line of the stream has said, since
// the copy began, that the table may be there.
void OwnerWork::note_failure(const Job& job, const std::vector<TableRequest>& tables) {
  const std::vector<MirroredTable> stored = load_tables_of(db_, options_.source);
  for (const TableRequest& request : tables) {
    const std::string name = name_for(request);
    const auto table = std::find_if(stored.begin(), stored.end(),
                                    [&](const MirroredTable& t) { return t.wished_name == name; });
    if (table == stored.end()) continue;
    const auto before = job.since.find(name);
    if (table->state == TableState::Copying && before != job.since.end() &&
        before->second != table->since) {
      tries_.erase(name);
      continue;
    }
    Try& again = tries_[name];
    again.since = table->since;
    again.pause = std::clamp(again.pause * 2, kShortestPause, kLongestPause);
    again.next = steady_clock::now() + again.pause;
  }
}

void OwnerWork::start_next(const Applier& applier) {
  job_ = std::move(waiting_.front());
  waiting_.pop_front();
  for (const MirroredTable& table : applier.absent()) job_->since[table.name] = table.since;
  start_seed(applier.committed());
}

void OwnerWork::start_seed(const Checkpoint& at) {
  const std::string names = names_of(job_->request.config.tables);
  installed_ = false;
  if (can_mend(*job_)) {
    spdlog::info("comparing {} with PostgreSQL", names);
    seed_ = std::make_unique<LiveMend>(db_, job_->request, at, control_.signals);
  } else {
    spdlog::info("copying {} from PostgreSQL", names);
    seed_ = std::make_unique<LiveSeed>(db_, job_->request, at, control_.signals);
  }
  watch(seed_->fd());
}

bool OwnerWork::seed_step(Applier& applier) {
  if (installed_) {
    finish_seed(applier);
    return true;
  }
  const int fd = seed_->fd();
  bool more = false;
  try {
    more = seed_->step(applier.committed());
  } catch (const TooDifferent& e) {
    spdlog::info("copying the tables whole: {}", e.what());
    job_->only_rows = false;
    seed_.reset();
    start_seed(applier.committed());
    return true;
  }
  if (seed_->fd() != fd) watch(seed_->fd());  // it has begun anew
  tell_progress();
  const bool may = stalled_ || applier.committed().lsn >= seed_->consistent_at();
  if (!seed_->ready() || !may) return more;
  seed_->install(applier);
  if (feed_ != nullptr && seed_->replaces_tables()) {
    for (const TableRequest& table : job_->request.config.tables) {
      feed_->whole_table(name_for(table));
    }
  }
  installed_ = true;
  return true;
}

void OwnerWork::committed(const Checkpoint& at) {
  if (feed_ != nullptr) feed_->committed(at);
}

void OwnerWork::rolled_back() noexcept {
  if (feed_ != nullptr) feed_->rolled_back();
}

void OwnerWork::tell_progress() {
  const auto now = steady_clock::now();
  if (now - told_ < kBetweenReports) return;
  told_ = now;
  json progress = {{"state", "running"}, {"rows", seed_->rows()}};
  if (seed_->expected_rows() >= 0) progress["expected_rows"] = seed_->expected_rows();
  for (const std::uint64_t client : job_->clients) server_->tell(client, progress);
}

void OwnerWork::finish_seed(const Applier& applier) {
  std::vector<TableRequest> placed;
  std::vector<TableRequest> failed;
  for (const TableRequest& table : job_->request.config.tables) {
    const bool absent =
        std::any_of(applier.absent().begin(), applier.absent().end(),
                    [&](const MirroredTable& t) { return t.name == name_for(table); });
    (absent ? failed : placed).push_back(table);
    if (!absent) tries_.erase(name_for(table));
  }
  for (const TableProblem& problem : seed_->problems()) {
    if (tries_.contains(problem.name)) continue;  // it was said before
    spdlog::warn("table {} is {}: {}{}{}", problem.name, state_name(problem.absence.state),
                 problem.absence.reason, problem.absence.hint.empty() ? "" : "; ",
                 problem.absence.hint);
  }
  note_failure(*job_, failed);
  if (!placed.empty()) {
    spdlog::info("{}: {} in place, {} of them written", names_of(placed),
                 daystream::program::counted(seed_->rows(), "row"), seed_->written());
  }
  for (const std::uint64_t client : job_->clients) {
    server_->done(client, {{"rows", seed_->rows()}, {"written", seed_->written()}});
  }
  seed_.reset();
  job_.reset();
  installed_ = false;
  stalled_ = false;
  if (waiting_.empty() && !extra_sql_.empty()) {
    WriteTransaction transaction(db_);
    try {
      run_extra_sql(db_, std::exchange(extra_sql_, {}));
      transaction.commit();
    } catch (const ConfigError& e) {
      spdlog::error("{}", e.what());
    }
  }
}

void OwnerWork::fail_seed(const Error& error) {
  seed_.reset();
  installed_ = false;
  Job job = std::move(*job_);
  job_.reset();
  if (db_.in_transaction()) throw;  // of a half-done install: the Applier's, which ends with it
  drop_shadows();
  if (control_.stop_requested()) return;
  remember_error(db_, options_.source, error);
  const bool own = job.request.unfit == Unfit::PassOver;  // nobody waits for an answer
  if (own && (options_.once || options_.until)) {
    // Who ends with the stream would end without these tables, and without a word.
    failed_ = true;
    throw;
  }
  if (own || (job.required && error.retryable() && options_.seed_now.empty())) {
    const auto now = steady_clock::now();
    if (failure_ != error.what() || now - failure_said_ >= kBetweenSayings) {
      spdlog::warn("could not copy {}: {}; trying again", names_of(job.request.config.tables),
                   error.what());
      failure_ = error.what();
      failure_said_ = now;
    }
    if (!job.required) stalled_ = false;
    if (job.required) {
      try_again_ = now + kBetweenAttempts;
      waiting_.push_front(std::move(job));
    } else {
      note_failure(job, job.request.config.tables);
    }
    return;
  }
  if (job.required) {
    failed_ = true;
    throw;
  }
  spdlog::error("could not copy {}: {}", names_of(job.request.config.tables), error.what());
  for (const std::uint64_t client : job.clients) server_->failed(client, error);
}

bool OwnerWork::take_over(const Error& error) {
  if (failed_) return false;
  if (const auto* const trouble = dynamic_cast<const NeedsReseed*>(&error)) {
    return on_trouble_ != OnTrouble::Stop && keep_as_it_was(*trouble);
  }
  if (dynamic_cast<const StreamGap*>(&error) != nullptr) return copy_all(error, false);
  if (dynamic_cast<const PlaceGone*>(&error) != nullptr) return copy_all(error, true);
  const bool needs_person = error.exit_code() == daystream::ExitCode::NeedsPerson;
  if (!needs_person || job_ == std::nullopt || stalled_) return false;
  Job job = std::move(*job_);
  job_.reset();
  stall(error, std::move(job));
  return true;
}

// At its last commit, which is the mirror's, as the Applier has taken back what came since.
bool OwnerWork::keep_as_it_was(const NeedsReseed& trouble) {
  std::vector<MirroredTable> tables = load_tables_of(db_, options_.source);
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const MirroredTable& t) {
    return t.is_followed() && (trouble.oid() != 0 ? t.shape.oid == trouble.oid()
                                                  : t.shape.line_name == trouble.line_name());
  });
  if (found == tables.end()) return false;
  spdlog::warn("table {} stays as it is: {}", found->name, trouble.what());
  WriteTransaction transaction(db_);
  take_out(db_, *found,
           {.state = TableState::Copying, .reason = trouble.what(), .hint = trouble.hint()},
           OnTrouble::Keep);
  transaction.commit();
  return true;
}

// Readers see all tables as they were until all are as they are now.
bool OwnerWork::copy_all(const Error& error, bool from_its_seam) {
  if (!options_.conninfo) return false;
  Job job = own_job();
  job.request.from_its_seam = from_its_seam;
  for (const MirroredTable& table : load_tables_of(db_, options_.source)) {
    if (!table.is_static()) job.request.config.tables.push_back(wish_of(table));
  }
  if (job.request.config.tables.empty()) return false;
  stall(error, std::move(job));
  return true;
}

void OwnerWork::stall(const Error& error, Job job) {
  spdlog::warn("{}: the mirror waits at its last commit until {} is copied", error.what(),
               names_of(job.request.config.tables));
  job.required = true;
  stalled_ = true;
  installed_ = false;
  seed_.reset();
  drop_shadows();
  waiting_.push_front(std::move(job));
}

}  // namespace deltamirror
