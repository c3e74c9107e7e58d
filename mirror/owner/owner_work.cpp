#include "owner/owner_work.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

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

constexpr int kMostAttempts = 5;
constexpr std::chrono::seconds kBetweenAttempts{5};
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
      read_config_(!options.config_file.empty() && options.seed_now.empty()) {
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
                       return !table.is_static() && !table.key().empty() &&
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

void OwnerWork::start_next(const Applier& applier) {
  job_ = std::move(waiting_.front());
  waiting_.pop_front();
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
    finish_seed();
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

void OwnerWork::finish_seed() {
  spdlog::info("{}: {} rows are in place, {} of them written",
               names_of(job_->request.config.tables), seed_->rows(), seed_->written());
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
  if (job.required && error.retryable() && options_.seed_now.empty()) {
    spdlog::warn("could not copy {}: {}; trying again", names_of(job.request.config.tables),
                 error.what());
    try_again_ = steady_clock::now() + kBetweenAttempts;
    waiting_.push_front(std::move(job));
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
  const auto* const reseed = dynamic_cast<const NeedsReseed*>(&error);
  const bool needs_person = error.exit_code() == daystream::ExitCode::NeedsPerson;
  if (reseed == nullptr && (!needs_person || job_ == std::nullopt || stalled_)) return false;

  Job job;
  if (job_) {
    job = std::move(*job_);
    job_.reset();
  } else {
    if (!options_.conninfo) return false;
    job.request = {.mirror = options_.mirror,
                   .conninfo = *options_.conninfo,
                   .daystream = options_.daystream,
                   .config = {},
                   .source = options_.source};
  }
  if (reseed != nullptr) {
    const std::vector<MirroredTable> tables = load_tables_of(db_, options_.source);
    const auto found = std::find_if(tables.begin(), tables.end(), [&](const MirroredTable& t) {
      return !t.is_static() && (reseed->oid() != 0 ? t.shape.oid == reseed->oid()
                                                   : t.shape.line_name == reseed->line_name());
    });
    if (found == tables.end()) return false;
    auto& wanted = job.request.config.tables;
    const bool is_new = std::none_of(wanted.begin(), wanted.end(), [&](const TableRequest& r) {
      return name_for(r) == found->name;
    });
    if (is_new) wanted.push_back(request_for(*found));
  }
  if (++job.attempts > kMostAttempts) return false;
  spdlog::warn("{}: the mirror waits at its last commit until {} is copied anew", error.what(),
               names_of(job.request.config.tables));
  job.required = true;
  stalled_ = true;
  installed_ = false;
  seed_.reset();
  drop_shadows();
  waiting_.push_front(std::move(job));
  return true;
}

}  // namespace deltamirror
