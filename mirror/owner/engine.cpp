#include "owner/engine.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "config/command_record.h"
#include "config/fleet_config.h"
#include "config/source_places.h"
#include "owner/fleet_commands.h"
#include "owner/source_changes.h"
#include "owner/source_run.h"
#include "owner/stream_keeper.h"
#include "owner/wanted_config.h"
#include "program/hint.h"
#include "program/json.h"
#include "program/notify.h"
#include "program/retries.h"
#include "src/waiting.h"
#include "store/last_events.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Error;
using nlohmann::json;

namespace {

// Who holds a lock for longer is what the mirror waits for, and is told of.
constexpr std::chrono::seconds kLockPatience{3};
constexpr const char* kRequestHint =
    "a request is one line of JSON, as docs/mirroring.md#the-control-socket has them";

std::optional<daystream::Lsn> until_of(const RunOptions& options, const std::string& source) {
  for (const SourceLsn& until : options.end.until_lsns) {
    if (until.source.empty() || until.source == source) return until.lsn;
  }
  return std::nullopt;
}

void check_until(const RunOptions& options, const std::vector<Checkpoint>& all) {
  for (const SourceLsn& until : options.end.until_lsns) {
    if (until.source.empty() && all.size() == 1) continue;
    if (find_source(all, until.source) != nullptr) continue;
    throw ConfigError(
        until.source.empty()
            ? fmt::format("an LSN is of one database, and the mirror has {}", names_of(all))
            : fmt::format("the mirror has no source \"{}\"", until.source),
        "give --until-lsn SOURCE=LSN");
  }
}

// `options`, for each source: as the configuration says, or where each was read last.
std::vector<RunOptions> options_of_sources(const RunOptions& options, const Database& db,
                                           const MirrorConfig& config) {
  check_until(options, load_checkpoints(db));
  std::vector<RunOptions> out;
  const AskedPlaces asked{options.config_file, options.source, options.daystream, options.conninfo};
  for (SourcePlace& place : source_places(db, asked, config)) {
    RunOptions& own = out.emplace_back(options);
    own.source = place.at.source;
    own.daystream = place.daystream;
    own.conninfo = place.conninfo;
    own.end.until = until_of(options, own.source);
  }
  return out;
}

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

json to_json(const LastError& error) {
  return {{"at", error.at},
          {"message", error.message},
          {"hint", error.hint},
          {"after", static_cast<int>(error.after)}};
}

class Engine {
 public:
  Engine(const RunOptions& options, const RunControl& control, Database& db,
         daystream::PlaceWatch place, daystream::program::Repeats& said)
      : options_(options),
        control_(control),
        place_(std::move(place)),
        shared_(options, control, db, said),
        wanted_(options, shared_, said) {
    shared_.has_watchdog = notify_.has_watchdog();
    shared_.paused = options_.commands && options_.commands->is_paused();
    bool right = false;
    const auto config = wanted_.first(right);
    if (right) {
      change_sources(*config, true);
      config_ = config;
    }
    if (right || !wanted_.is_followed()) wanted_.took();
    for (RunOptions& each : options_of_sources(options, db, *config)) add(std::move(each));
    if (options_.fleet) options_.fleet->follow();
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine() {
    stop();
    for (const auto& source : sources_) source->join();
  }

  void run() {
    for (const auto& source : sources_) source->start();
    while (hear_news()) {
      if (options_.keeper) hear_streams();
      sleep();
      place_.look();
      if (control_.stop.requested()) stop();
      if (control_.signals.take_reload() || fleet_has_news()) reload();
      if (options_.keeper) take_prepared();
      if (options_.keeper) take_held();
      serve_requests();
      serve_feed();
      pat_watchdog();
    }
    // To systemd a service that is stopping does not come back by itself.
    if (!options_.commands || !options_.commands->wants_restart()) notify_.stopping();
    if (control_.stop.requested() || !first_.error) return;
    place_.look_now();  // what is wrong with a file that is another one by now is of no interest
    if (sources_.size() == 1) std::rethrow_exception(first_.error);
    rethrow(first_.source, first_.error);
  }

 private:
  // A request about the whole mirror; those of sources go to their threads.
  struct Verb {
    const char* name;
    void (Engine::*act)(std::uint64_t client);  // nullptr: about the tables of one source
  };
  static const Verb kVerbs[6];

  void add(RunOptions options) {
    sources_.push_back(std::make_unique<SourceRun>(shared_, std::move(options)));
    if (config_ != nullptr) sources_.back()->hear_reload(config_);
    shared_.several = sources_.size() > 1;
    if (shared_.feed) shared_.feed->set_several(shared_.several);
  }

  void stop() noexcept {
    stopping_ = true;
    for (const auto& source : sources_) source->stop();
  }

  void sleep() {
    const int feed = shared_.feed ? shared_.feed->fd() : -1;
    daystream::WaitSet news{shared_.news.fd(), shared_.server ? shared_.server->fd() : -1, feed};
    if (!stopping_) news.add(control_.stop.fd());
    const int config = config_fd();
    news.add(config);
    const int commands = options_.commands ? options_.commands->fd() : -1;
    news.add(commands);
    news.wait(notify_.has_watchdog() ? std::chrono::milliseconds(250)
                                     : daystream::PlaceWatch::kBetweenLooks);
    if (news.ready(control_.stop.fd())) control_.signals.clear();
    if (news.ready(shared_.news.fd())) shared_.news.clear();
    feed_waits_ = news.ready(feed);
    config_has_news_ = news.ready(config);
    if (config_has_news_ && options_.fleet) options_.fleet->clear();
    if (config_has_news_ && options_.keeper) options_.keeper->clear();
    if (news.ready(commands)) hear_pause();
  }

  void hear_pause() {
    options_.commands->clear();
    shared_.paused = options_.commands->is_paused();
    notify_.status(shared_.paused ? "paused" : "going on");
    for (const auto& source : sources_) source->wake();
  }

  // Readable: the server of a fleet has another one, or the streams of one are there.
  int config_fd() const {
    if (options_.fleet) return options_.fleet->fd();
    return options_.keeper ? options_.keeper->fd() : -1;
  }
  bool fleet_has_news() const { return options_.fleet && config_has_news_; }

  // False: none goes on.
  bool hear_news() {
    bool any = false;
    for (const auto& source : sources_) {
      if (source->has_begun() && !is_ready_) {
        is_ready_ = true;
        notify_.ready();
      }
      if (!source->has_ended()) {
        any = true;
        continue;
      }
      const std::exception_ptr error = source->join();
      if (error != nullptr && told_.insert(source->name()).second) tell(source->name(), error);
    }
    return any;
  }

  // Where nobody writes a stream, that is why its source stands still, whatever was met in reading.
  void hear_streams() {
    const auto failures = options_.keeper->failures();
    if (failures.empty() && unwritten_.empty()) return;
    for (const auto& source : sources_) {
      const std::string& name = source->name();
      const auto failure = failures.find(failures.contains("") ? "" : name);
      if (failure == failures.end()) {
        if (unwritten_.erase(name) == 0) continue;
        const HavingTurn turn(shared_.turn, -1);
        forget_error(shared_.db, name);
      } else if (source->has_begun() || source->has_ended()) {
        unwritten_.insert(name);
        const HavingTurn turn(shared_.turn, -1);
        remember_failure(shared_.db, name, failure->second);
      }
    }
  }

  void tell(const std::string& name, const std::exception_ptr& error) {
    if (!first_.error) first_ = {name, error};
    if (sources_.size() == 1) return;  // that is why this process ends, and is said then
    try {
      std::rethrow_exception(error);
    } catch (const Error& e) {
      spdlog::error("source \"{}\" stands still at its last commit: {}", name,
                    daystream::program::with_hint(e.what(), e.hint()));
    } catch (const std::exception& e) {
      // A bug, or no memory: nothing can be said of the others either.
      spdlog::error("source \"{}\": {}", name, e.what());
      stop();
    }
  }

  // Takes up those that the configuration has in addition, and lets those go that it has not.
  void change_sources(const MirrorConfig& config, bool first) {
    const SourceChange change = [&] {
      const HavingTurn turn(shared_.turn, -1);
      return compare_sources(shared_.db, config);
    }();
    for (const std::string& name : change.remove) {
      std::erase_if(sources_, [&](const auto& source) {
        if (source->name() != name) return false;
        source->stop();
        source->join();
        return true;
      });
      told_.erase(name);
      const HavingTurn turn(shared_.turn, -1);
      remove_source(shared_.db, name);
    }
    for (const Checkpoint& at : change.add) {
      const HavingTurn turn(shared_.turn, -1);
      begin_source(shared_.db, at);
      if (first) continue;
      RunOptions own = options_;
      own.source = at.source;
      own = options_of_sources(own, shared_.db, config).front();
      add(std::move(own));
      sources_.back()->start();
    }
  }

  void reload() {
    wanted_.forget_said();
    try {
      if (wanted_.is_followed()) {
        const auto config = wanted_.read();
        wanted_.check(*config);
        if (options_.keeper) return options_.keeper->prepare(config);
        take(config);
      }
    } catch (const Error& e) {
      return wanted_.refuse(e);
    }
    tell_sources();
  }

  // The streams of a configuration are there, or cannot be.
  void take_prepared() {
    try {
      const auto config = options_.keeper->prepared();
      if (config == nullptr) return;
      take(config);
    } catch (const Error& e) {
      wanted_.refuse(e);
      return options_.keeper->settle(StreamKeeper::Outcome::Refused);
    }
    options_.keeper->settle(StreamKeeper::Outcome::InForce);
    tell_sources();
  }

  void take(const std::shared_ptr<const MirrorConfig>& config) {
    const auto before = std::exchange(config_, config);
    try {
      change_sources(*config, false);
    } catch (const Error&) {
      config_ = before;
      throw;
    }
    {
      const HavingTurn turn(shared_.turn, -1);
      options_of_sources(options_, shared_.db, *config);
    }
    wanted_.took();
  }

  void tell_sources() {
    for (const auto& source : sources_) {
      source->hear_reload(config_);
      start_stopped(*source);
    }
  }

  void start_stopped(SourceRun& source) {
    if (told_.erase(source.name()) == 0) return;
    spdlog::info("trying source \"{}\" again", source.name());
    if (first_.source == source.name()) first_ = {};
    source.start();
  }

  void serve_requests() {
    while (shared_.server) {
      const auto request = shared_.server->next();
      if (!request) break;
      try {
        handle(*request);
      } catch (const Error& e) {
        shared_.server->failed(request->client, e);
      } catch (const json::exception& e) {
        shared_.server->failed(request->client,
                               ConfigError(fmt::format("bad request: {}", e.what())));
      }
    }
  }

  void handle(const ControlRequest& request) {
    json asked;
    if (daystream::program::is_too_deep(request.line))
      throw ConfigError("the request is too deep", kRequestHint);
    try {
      asked = json::parse(request.line);
    } catch (const json::parse_error& e) {
      throw ConfigError(fmt::format("the request is not JSON at byte {}", e.byte), kRequestHint);
    }
    if (!asked.is_object() || asked.value("version", 0) != 1) {
      throw ConfigError("the request is not of version 1", kRequestHint);
    }
    const std::string name = asked.value("request", "");
    const auto verb = std::find_if(std::begin(kVerbs), std::end(kVerbs),
                                   [&](const Verb& v) { return v.name == name; });
    if (verb == std::end(kVerbs)) {
      throw ConfigError(fmt::format("unknown request \"{}\"", name),
                        "known: status, seed, reseed, remove, reload, wal-checkpoint");
    }
    if (verb->act != nullptr) return (this->*verb->act)(request.client);
    SourceRun& source = source_of(asked);
    if (options_.keeper && name == "seed") {
      auto tables = tables_to_add(asked, source.name());
      return options_.keeper->hold({{request.client, asked}, source.name(), std::move(tables)});
    }
    hand_on(source, {request.client, asked});
  }

  void hand_on(SourceRun& source, SourceRequest request) {
    source.hear(std::move(request));
    // A copy of its tables is what may help one that stands still.
    start_stopped(source);
  }

  // The stream holds what is to be copied, or cannot.
  void take_held() {
    while (auto addition = options_.keeper->held()) {
      try {
        if (addition->error) std::rethrow_exception(addition->error);
        hand_on(source_of(addition->request.asked), addition->request);
      } catch (const Error& e) {
        spdlog::error("could not add tables: {}",
                      daystream::program::with_hint(e.what(), e.hint()));
        if (!addition->error) options_.keeper->let_go(addition->source, addition->tables);
        if (shared_.server) shared_.server->failed(addition->request.client, e);
      }
    }
  }

  SourceRun& source_of(const json& asked) {
    const std::string name = asked.value("source", "");
    if (name.empty() && sources_.size() == 1) return *sources_.front();
    for (const auto& source : sources_) {
      if (source->name() == name) return *source;
    }
    throw ConfigError(name.empty() ? "the mirror has several sources, and the request names none"
                                   : fmt::format("the mirror has no source \"{}\"", name),
                      "name one: \"source\" in the request, --source on the command line");
  }

  void tell_status(std::uint64_t client) {
    const HavingTurn turn(shared_.turn, -1);
    json sources = json::array();
    for (const auto& source : sources_) {
      json& own = sources.emplace_back(source->status());
      own["stopped"] = told_.contains(source->name());
      if (const auto error = unstored_error(source->name()))
        own["unstored_error"] = to_json(*error);
      if (const auto error = stream_trouble(source->name()))
        own["stream_trouble"] = to_json(*error);
    }
    shared_.server->done(client, {{"pid", getpid()}, {"sources", std::move(sources)}});
  }

  void reload_for(std::uint64_t client) {
    if (options_.config_file.empty()) {
      throw ConfigError("this mirror runs without a configuration", "give \"run\" --config FILE");
    }
    reload();
    shared_.server->done(client, json::object());
  }

  void move_log(std::uint64_t client) {
    const HavingTurn turn(shared_.turn, -1);
    int log = 0;
    int moved = 0;
    sqlite3_wal_checkpoint_v2(shared_.db.raw(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &log, &moved);
    shared_.server->done(client, {{"log_pages", log}, {"moved_pages", moved}});
  }

  void serve_feed() {
    if (!feed_waits_) return;
    const HavingTurn turn(shared_.turn, -1);
    shared_.feed->serve(load_checkpoints(shared_.db));
  }

  // Each thread has to say that it lives before the watchdog hears of it.
  void pat_watchdog() {
    if (!notify_.has_watchdog() || !shared_.turn.moves()) return;
    for (const auto& source : sources_) {
      if (alive_.contains(source.get()) || !source->is_alive()) continue;
      alive_.insert(source.get());
    }
    const bool all = std::all_of(sources_.begin(), sources_.end(),
                                 [&](const auto& source) { return alive_.contains(source.get()); });
    if (!all) return;
    alive_.clear();
    notify_.alive();
  }

  const RunOptions& options_;
  const RunControl& control_;
  daystream::PlaceWatch place_;
  Shared shared_;
  WantedConfig wanted_;
  daystream::program::Notify notify_;
  std::vector<std::unique_ptr<SourceRun>> sources_;
  std::shared_ptr<const MirrorConfig> config_;  // that sources take; nullptr: none
  bool is_ready_ = false;
  bool stopping_ = false;
  bool feed_waits_ = false;
  bool config_has_news_ = false;
  std::set<const SourceRun*> alive_;  // since the watchdog heard of it last
  std::set<std::string> told_;        // sources that have stopped
  std::set<std::string> unwritten_;   // sources whose streams were given up
  struct Stopped {
    std::string source;
    std::exception_ptr error;
  } first_;  // that has stopped
};

const Engine::Verb Engine::kVerbs[6] = {
    {"status", &Engine::tell_status},
    {"seed", nullptr},
    {"reseed", nullptr},
    {"remove", nullptr},
    {"reload", &Engine::reload_for},
    {"wal-checkpoint", &Engine::move_log},
};

void own_and_run(const RunOptions& options, const RunControl& control,
                 daystream::program::Repeats& said) {
  // Before the lock, as a lock file beside no mirror would only puzzle.
  static_cast<void>(open_for_reading(options.mirror));
  const MirrorLock owner(options.mirror);
  // It goes by something else from now on.
  if (!options.fleet && options.end.seed_now.empty()) FleetState::remove(options.mirror);
  if (!options.commands && options.end.seed_now.empty()) CommandRecord::release(options.mirror);
  Database db = open_owned(options.mirror);
  db.set_lock_patience(kLockPatience);
  db.give_up_when(control.stop);
  daystream::PlaceWatch place(
      "mirror", options.mirror, owner.file().value_or(daystream::FileIdentity{}),
      "end the process that owns a mirror before it is moved, removed or replaced, and take its "
      "-wal and -shm along; \"deltamirror verify\" shows whether what is there now is whole, and "
      "\"deltamirror seed\" makes a new one");
  const FleetCommands::Owning taking_commands(options.commands.get());
  Engine(options, control, db, std::move(place), said).run();
}

// False: asked to stop meanwhile.
bool pause(std::chrono::milliseconds length, const RunControl& control) {
  using std::chrono::steady_clock;
  const auto end = steady_clock::now() + length;
  while (!control.stop.requested()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - steady_clock::now());
    if (left.count() <= 0) return true;
    if (daystream::WaitSet{control.stop.fd()}.wait(left)) control.signals.clear();
  }
  return false;
}

}  // namespace

// What a source waits for once it is followed is waited for before that as well: the file may be
// locked, or its disk full, when the host starts.
void run_mirror(const RunOptions& options, const RunControl& control) {
  daystream::program::Retries retries;
  daystream::program::Repeats said;  // by each try of itself
  do {
    try {
      return own_and_run(options, control, said);
    } catch (const daystream::Error& e) {
      if (!may_pass(e, false) || !options.end.waits_out_trouble()) throw;
      retries.failed(e);
      daystream::program::Notify().status(fmt::format("waiting: {}", e.what()));
      if (options.hear_wait) {
        options.hear_wait(daystream::program::with_hint(e.what(), e.hint()));
      }
    }
  } while (pause(retries.pause(), control));
}

}  // namespace deltamirror
