#include "owner/follow_sources.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>
#include <vector>

#include "owner/control.h"
#include "owner/follow_source.h"
#include "owner/source_options.h"
#include "program/notify.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Error;
using daystream::UniqueFd;
using nlohmann::json;

namespace {

UniqueFd make_eventfd() {
  UniqueFd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) throw daystream::IoError("could not make an eventfd", errno);
  return fd;
}

void drain(const UniqueFd& fd) noexcept {
  eventfd_t count = 0;
  eventfd_read(fd.get(), &count);
}

// What all sources share.
struct Shared {
  Shared(const FollowControl& with, Database& mirror) : control(with), db(mirror), keeper(mirror) {}

  const FollowControl& control;
  Database& db;
  WalKeeper keeper;
  WriteTurn turn;
  std::atomic<bool> stopping = false;
  UniqueFd ended = make_eventfd();  // readable: a source has ended
};

// One source and its thread.
class Source {
 public:
  Source(Shared& shared, FollowOptions options, ControlServer* server)
      : shared_(shared),
        options_(std::move(options)),
        work_(shared.db, options_, shared.control, server),
        lag_(options_.daystream, options_.mirror),
        wake_(any_of({nudge_.get(), work_.fd()})) {}
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  // The others' threads must have ended, too.
  ~Source() {
    if (thread_.joinable()) thread_.join();
  }

  const std::string& name() const noexcept { return options_.source; }
  void start() {
    error_ = nullptr;
    ended_ = false;
    work_.forget_failure();
    thread_ = std::thread([this] { run(); });
  }
  void hear(ControlRequest request) {
    work_.hear(std::move(request));
    wake();
  }
  void hear_reload() noexcept {
    work_.hear_reload();
    wake();
  }
  void wake() noexcept { eventfd_write(nudge_.get(), 1); }
  bool has_ended() const noexcept { return ended_; }
  // After has_ended(): why; nullptr: it was done, or asked to stop.
  std::exception_ptr join() {
    if (thread_.joinable()) thread_.join();
    return error_;
  }

 private:
  void run() noexcept {
    const auto woken = [this] { drain(nudge_); };
    try {
      follow_source({.options = options_,
                     .source = options_.source,
                     .db = shared_.db,
                     .work = work_,
                     .keeper = shared_.keeper,
                     .lag = lag_,
                     .stop_requested =
                         [this] {
                           shared_.turn.heard();
                           return shared_.stopping || shared_.control.stop_requested();
                         },
                     .begun = [] {},
                     .woken = woken,
                     .wake_fd = wake_.get(),
                     .pause_fd = nudge_.get(),
                     .pause_woken = woken,
                     .sleeps_short = false,
                     .turn = &shared_.turn,
                     .nudge_fd = nudge_.get()});
    } catch (...) {
      // Given on to the thread that owns all.
      error_ = std::current_exception();
    }
    ended_ = true;
    eventfd_write(shared_.ended.get(), 1);
  }

  Shared& shared_;
  const FollowOptions options_;
  const UniqueFd nudge_ = make_eventfd();
  OwnerWork work_;
  LagReport lag_;
  const UniqueFd wake_;
  std::thread thread_;
  std::exception_ptr error_;
  std::atomic<bool> ended_ = true;
};

// As the process reports it.
[[noreturn]] void rethrow(const std::string& source, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    const std::string what = fmt::format("source \"{}\": {}", source, e.what());
    switch (e.exit_code()) {
      case daystream::ExitCode::NeedsPerson:
        throw daystream::NeedsPerson(what, e.hint());
      case daystream::ExitCode::Usage:
        throw ConfigError(what, e.hint());
      default:
        throw Error(what, e.hint());
    }
  }
}

class SourcesOwner {
 public:
  SourcesOwner(const FollowOptions& options, const FollowControl& control, Database& db)
      : options_(options), control_(control), shared_(control, db) {
    std::vector<FollowOptions> all = options_of_sources(options, db);
    try {
      server_ = std::make_unique<ControlServer>(options.mirror);
    } catch (const daystream::IoError& e) {
      // The mirror is worth more than its socket.
      spdlog::warn("nobody can ask this process for anything: {}", e.what());
    }
    for (FollowOptions& each : all) {
      sources_.push_back(std::make_unique<Source>(shared_, std::move(each), server_.get()));
    }
  }
  SourcesOwner(const SourcesOwner&) = delete;
  SourcesOwner& operator=(const SourcesOwner&) = delete;
  ~SourcesOwner() {
    stop();
    for (const auto& source : sources_) source->join();
  }

  void run() {
    for (const auto& source : sources_) source->start();
    notify_.ready();
    while (hear_ended()) {
      sleep();
      if (control_.stop_requested()) stop();
      if (control_.signals.take_reload()) reload();
      while (server_) {
        const auto request = server_->next();
        if (!request) break;
        handle(*request);
      }
      if (shared_.turn.moves()) notify_.alive();
    }
    notify_.stopping();
    if (!control_.stop_requested() && first_error_) rethrow(first_source_, first_error_);
  }

 private:
  void stop() noexcept {
    shared_.stopping = true;
    for (const auto& source : sources_) source->wake();
  }

  void sleep() {
    pollfd fds[] = {{.fd = control_.wake_fd, .events = POLLIN, .revents = 0},
                    {.fd = shared_.ended.get(), .events = POLLIN, .revents = 0},
                    {.fd = server_ ? server_->fd() : -1, .events = POLLIN, .revents = 0}};
    poll(fds, 3, notify_.has_watchdog() ? 1000 : -1);
    if (fds[0].revents != 0) control_.signals.clear();
    if (fds[1].revents != 0) drain(shared_.ended);
  }

  // False: none goes on.
  bool hear_ended() {
    bool any = false;
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      Source& source = *sources_[i];
      if (!source.has_ended()) {
        any = true;
        continue;
      }
      const std::exception_ptr error = source.join();
      if (error == nullptr || told_.contains(source.name())) continue;
      told_.insert(source.name());
      tell(source.name(), error);
    }
    return any;
  }

  void tell(const std::string& name, const std::exception_ptr& error) {
    if (!first_error_) {
      first_error_ = error;
      first_source_ = name;
    }
    try {
      std::rethrow_exception(error);
    } catch (const Error& e) {
      spdlog::error("source \"{}\" stands still at its last commit: {}{}{}", name, e.what(),
                    e.hint().empty() ? "" : "; ", e.hint());
    } catch (const std::exception& e) {
      // A bug, or no memory: nothing can be said of the others either.
      spdlog::error("source \"{}\": {}", name, e.what());
      stop();
    }
  }

  void reload() {
    if (!options_.config_file.empty()) {
      try {
        const HavingTurn turn(&shared_.turn, -1);
        options_of_sources(options_, shared_.db);
      } catch (const Error& e) {
        spdlog::error("could not take configuration \"{}\", the one before stays in force: {}",
                      options_.config_file, e.what());
        return;
      }
    }
    for (const auto& source : sources_) {
      if (!options_.config_file.empty()) source->hear_reload();
      start_stopped(*source);
    }
  }

  void start_stopped(Source& source) {
    if (told_.erase(source.name()) == 0) return;
    spdlog::info("trying source \"{}\" again", source.name());
    if (first_source_ == source.name()) first_error_ = nullptr;
    source.start();
  }

  // A copy of its tables is what may help one that stands still.
  void give_to_source(const ControlRequest& request, const json& asked) {
    const std::string name = asked.value("source", "");
    for (const auto& source : sources_) {
      if (source->name() != name) continue;
      source->hear(request);
      start_stopped(*source);
      return;
    }
    throw ConfigError(fmt::format("the mirror has no source \"{}\"", name));
  }

  void handle(const ControlRequest& request) {
    try {
      const json asked = json::parse(request.line, nullptr, false);
      if (!asked.is_object() || asked.value("version", 0) != 1) {
        throw ConfigError("the request is not of version 1", "see control.h or the README");
      }
      const std::string verb = asked.value("request", "");
      if (verb == "reseed" || verb == "remove") return give_to_source(request, asked);
      const HavingTurn turn(&shared_.turn, -1);
      if (verb == "status") {
        server_->done(request.client, status());
      } else if (verb == "checkpoint") {
        int log = 0;
        int moved = 0;
        sqlite3_wal_checkpoint_v2(shared_.db.raw(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &log,
                                  &moved);
        server_->done(request.client, {{"log_pages", log}, {"moved_pages", moved}});
      } else {
        throw ConfigError(
            fmt::format("a mirror of named sources does not know the request \"{}\"", verb),
            "to change its tables write them into the configuration, and send SIGHUP");
      }
    } catch (const Error& e) {
      server_->failed(request.client, e);
    } catch (const json::exception& e) {
      server_->failed(request.client, ConfigError(fmt::format("bad request: {}", e.what())));
    }
  }

  json status() const {
    json sources = json::array();
    for (const Checkpoint& at : load_checkpoints(shared_.db)) {
      sources.push_back({{"source", at.source},
                         {"position", at.position.text()},
                         {"lsn", at.lsn.text()},
                         {"stopped", told_.contains(at.source)}});
    }
    return {{"pid", getpid()}, {"sources", std::move(sources)}};
  }

  const FollowOptions& options_;
  const FollowControl& control_;
  Shared shared_;
  daystream::program::Notify notify_;
  std::vector<std::unique_ptr<Source>> sources_;
  std::unique_ptr<ControlServer> server_;
  std::set<std::string> told_;  // sources that have stopped
  std::exception_ptr first_error_;
  std::string first_source_;
};

}  // namespace

void follow_sources(const FollowOptions& options, const FollowControl& control, Database& db) {
  SourcesOwner(options, control, db).run();
}

}  // namespace deltamirror
