#include "up/source_streams.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "model/names.h"
#include "program/hint.h"
#include "program/repeats.h"
#include "seed/requests.h"
#include "src/waiting.h"
#include "store/mirror_file.h"
#include "store/mirrored_table.h"
#include "up/plan.h"

namespace deltamirror {

using std::chrono::steady_clock;

namespace {

// Between two looks whether a stream is there.
constexpr std::chrono::milliseconds kLook{50};
// A slot waits for the transactions that are open at the server.
constexpr std::chrono::seconds kSoon{2};
// For a stream to say that it holds a table more; a publication waits for transactions that are
// open.
constexpr std::chrono::seconds kHeldWithin{60};

const OwnStream* find(const std::vector<OwnStream>& streams, const std::string& source) {
  const auto found = std::find_if(streams.begin(), streams.end(),
                                  [&](const auto& each) { return each.source == source; });
  return found == streams.end() ? nullptr : &*found;
}

// Where it is, or how its server is reached.
bool is_other(const OwnStream& now, const OwnStream& next) {
  return now.directory != next.directory || now.conninfo != next.conninfo;
}

}  // namespace

SourceStreams::SourceStreams(const UpOptions& options, StreamMaker& maker,
                             const daystream::program::Signals& signals)
    : options_(options), maker_(maker), signals_(signals), streamers_(signals.stop()) {}

void SourceStreams::start(const OwnStream& stream) {
  streamers_.start({stream.source, deltastream_command(options_, stream), stream.directory});
}

void SourceStreams::begin(Streams streams, Need need) {
  set_need(need);
  say_what_left(streams);
  for (const OwnStream& stream : streams) start(stream);
  wait_for(streams, signals_.stop());
  state_.in_force = std::move(streams);
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void SourceStreams::set_need(Need need) {
  // Those that are written elsewhere count as well.
  const std::size_t sources = options_.choice.config.sources.size();
  {
    const std::lock_guard lock(state_.mutex);
    state_.most = need == Need::All ? 1 : std::max<std::size_t>(sources, 1);
  }
  count_those_in_force();
}

void SourceStreams::count_those_in_force() {
  const std::lock_guard lock(state_.mutex);
  streamers_.set_most(state_.most);
}

void SourceStreams::end() {
  thread_ = {};
  streamers_.stop_all();
}

std::exception_ptr SourceStreams::why_over() const {
  const auto failures = streamers_.failures();
  if (signals_.stop_requested() || !streamers_.is_over() || failures.empty()) return nullptr;
  return failures.begin()->second;
}

// Throws where one was given up that a source cannot begin without.
void SourceStreams::wait_for(const Streams& streams, const daystream::Stop& stop) const {
  daystream::program::Repeats said;
  const auto begun = steady_clock::now();
  while (!stop.requested() && !streamers_.is_over()) {
    const auto failures = streamers_.failures();
    const OwnStream* awaited = nullptr;
    for (const OwnStream& stream : streams) {
      const auto failure = failures.find(stream.source);
      if (failure != failures.end() && maker_.is_unused(stream)) {
        std::rethrow_exception(failure->second);
      }
      if (failure == failures.end() && !maker_.is_there(stream)) awaited = &stream;
    }
    if (awaited == nullptr) return;
    if (steady_clock::now() - begun >= kSoon) {
      const auto text = said.met(fmt::format("waiting for the first line of daystream \"{}\"",
                                             awaited->directory.string()));
      if (text) spdlog::info("{}", *text);
    }
    daystream::WaitSet{streamers_.fd(), stop.fd()}.wait(kLook);
  }
}

void SourceStreams::prepare(std::shared_ptr<const MirrorConfig> config) {
  {
    const std::lock_guard lock(state_.mutex);
    state_.asked = config;
    state_.config = nullptr;
    state_.error = nullptr;
  }
  put([&](Work& work) { work.config = std::move(config); });
}

void SourceStreams::put(const std::function<void(Work&)>& add) {
  {
    const std::lock_guard lock(state_.mutex);
    add(state_.work);
  }
  has_work_.put(true);
}

std::shared_ptr<const MirrorConfig> SourceStreams::prepared() {
  const std::lock_guard lock(state_.mutex);
  if (state_.error) std::rethrow_exception(std::exchange(state_.error, nullptr));
  return std::exchange(state_.config, nullptr);
}

void SourceStreams::settle(Outcome outcome) {
  if (outcome == Outcome::InForce) {
    const std::lock_guard lock(state_.mutex);
    state_.in_force = std::move(state_.streams);
    state_.most = std::max<std::size_t>(state_.asked->sources.size(), 1);
  }
  put([](Work& work) {
    work.config = nullptr;
    work.fit = true;
  });
}

SourceStreams::Streams SourceStreams::in_force() {
  const std::lock_guard lock(state_.mutex);
  return state_.in_force;
}

void SourceStreams::run(const std::stop_token& stop) {
  while (has_work_.take(stop)) {
    Work work;
    {
      const std::lock_guard lock(state_.mutex);
      work = std::exchange(state_.work, {});
    }
    if (work.config) tidy();
    for (Addition& addition : work.additions) extend(std::move(addition), stop);
    if (work.fit) fit();
    if (work.config && *work.config != nullptr) prepare(*work.config, stop);
  }
}

void SourceStreams::hold(Addition addition) {
  put([&](Work& work) { work.additions.push_back(std::move(addition)); });
}

std::optional<StreamKeeper::Addition> SourceStreams::held() {
  const std::lock_guard lock(state_.mutex);
  if (state_.held.empty()) return std::nullopt;
  Addition addition = std::move(state_.held.front());
  state_.held.pop_front();
  return addition;
}

void SourceStreams::let_go(const std::string& source, const std::vector<TableRequest>& tables) {
  {
    const std::lock_guard lock(state_.mutex);
    for (const TableRequest& table : tables) {
      const auto found =
          std::find_if(state_.coming.begin(), state_.coming.end(), [&](const TableRequest& each) {
            return each.source == source && name_for(each) == name_for(table);
          });
      if (found != state_.coming.end()) state_.coming.erase(found);
    }
  }
  put([](Work& work) { work.fit = true; });
}

std::string SourceStreams::brings_back(const MirroredTable& table) const {
  if (!options_.run.config_file.empty()) {
    return fmt::format("configuration \"{}\", if it names it,", options_.run.config_file);
  }
  const auto all = options_.choice.config.all_tables();
  const bool is_named = std::any_of(all.begin(), all.end(), [&](const TableRequest& each) {
    return folded(name_for(each)) == folded(name_for(wish_of(table)));
  });
  return is_named ? "the command line of \"up\", which names it," : "";
}

// What the configuration names, what the mirror has, and what is about to come into it.
std::vector<TableRequest> SourceStreams::needed(const OwnStream& stream) {
  std::vector<TableRequest> tables;
  if (!options_.run.config_file.empty()) tables = stream.tables;
  const Database mirror = open_for_reading(options_.run.mirror);
  const auto is_its = [&](const std::string& source) {
    return stream.source.empty() || source == stream.source;
  };
  std::vector<MirroredTable> own = load_tables(mirror);
  std::erase_if(own, [&](const MirroredTable& table) { return !is_its(table.source); });
  follow_too(tables, own);
  const std::lock_guard lock(state_.mutex);
  for (const TableRequest& table : state_.coming) {
    if (is_its(table.source)) tables.push_back(table);
  }
  return tables;
}

void SourceStreams::replace_in_force(const OwnStream& stream) {
  const std::lock_guard lock(state_.mutex);
  for (OwnStream& each : state_.in_force) {
    if (each.source == stream.source) each = stream;
  }
}

void SourceStreams::extend(Addition addition, const std::stop_token& stop) {
  const Streams streams = in_force();
  const auto found = std::find_if(streams.begin(), streams.end(), [&](const OwnStream& each) {
    return each.source.empty() || each.source == addition.source;
  });
  // One that is written elsewhere holds what it holds.
  if (found != streams.end()) {
    OwnStream stream = *found;
    try {
      extend(stream, addition, stop);
    } catch (const daystream::Error&) {
      addition.error = std::current_exception();
      let_go(addition.source, addition.tables);
    }
  }
  const std::lock_guard lock(state_.mutex);
  state_.held.push_back(std::move(addition));
  news_.wake();
}

void SourceStreams::extend(OwnStream& stream, const Addition& addition,
                           const std::stop_token& stop) {
  const std::string before = filter_of(options_, stream);
  {
    const std::lock_guard lock(state_.mutex);
    state_.coming.insert(state_.coming.end(), addition.tables.begin(), addition.tables.end());
  }
  std::vector<TableRequest> tables = needed(stream);
  if (options_.run.config_file.empty()) stream.tables = std::move(tables);
  check_tables(options_, stream, addition.tables, signals_);
  maker_.publish_more(stream, addition.tables);
  if (filter_of(options_, stream) != before) {
    spdlog::info("the stream is to hold {}", filter_of(options_, stream));
    start(stream);
  }
  replace_in_force(stream);
  const auto until = steady_clock::now() + kHeldWithin;
  while (!maker_.is_there(stream)) {
    if (stop.stop_requested()) throw daystream::Error("\"up\" ends", "start it again");
    if (steady_clock::now() >= until || streamers_.failures().contains(stream.source)) {
      throw daystream::Error(
          fmt::format("daystream \"{}\" does not hold the table yet", stream.directory.string()),
          "\"deltamirror status\" says what its deltastream waits for; then try again");
    }
    daystream::WaitSet{signals_.stop().fd()}.wait(kLook);
    if (signals_.stop_requested()) throw daystream::Error("\"up\" ends", "start it again");
  }
}

// What no table of the mirror needs goes from filter and publication.
void SourceStreams::fit() {
  try {
    for (OwnStream& stream : in_force()) {
      std::vector<TableRequest> tables = needed(stream);
      if (tables.empty()) continue;  // no filter at all would be one of all tables
      const std::string before = filter_of(options_, stream);
      OwnStream fitting = stream;
      fitting.tables = std::move(tables);
      maker_.publish_no_more(fitting);
      if (!options_.run.config_file.empty()) continue;
      stream = std::move(fitting);
      replace_in_force(stream);
      if (stream.publication.empty() && filter_of(options_, stream) != before) {
        spdlog::info("the stream is to hold {}", filter_of(options_, stream));
        start(stream);
      }
    }
  } catch (const daystream::Error& e) {
    spdlog::warn("could not look which tables the stream is to hold: {}",
                 daystream::program::with_hint(e.what(), e.hint()));
  }
}

void SourceStreams::prepare(const std::shared_ptr<const MirrorConfig>& config,
                            const std::stop_token& stop) {
  const auto is_asked = [&] {
    const std::lock_guard lock(state_.mutex);
    return state_.asked == config && !stop.stop_requested();
  };
  Streams streams;
  std::exception_ptr error;
  try {
    streams = make(*config, in_force(), {[&] { return !is_asked(); }});
  } catch (const daystream::Error&) {
    error = std::current_exception();
  }
  if (!is_asked()) return;
  if (error) tidy();
  const std::lock_guard lock(state_.mutex);
  if (state_.asked != config) return;
  state_.error = error;
  if (!error) state_.config = config;
  state_.streams = std::move(streams);
  news_.wake();
}

SourceStreams::Streams SourceStreams::make(const MirrorConfig& config, const Streams& in_force,
                                           const daystream::Stop& stop) {
  if (config.sources.empty() != options_.choice.config.sources.empty()) {
    throw daystream::ConfigError(fmt::format("it names {}, and \"up\" was started with {}",
                                             config.sources.empty() ? "tables" : "sources",
                                             config.sources.empty() ? "sources" : "tables"),
                                 "end \"up\", and start it again");
  }
  UpOptions options = options_;
  options.choice.config = config;
  Streams streams = plan_streams(options);
  maker_.check(streams);
  for (const OwnStream& stream : streams) {
    const OwnStream* const now = find(in_force, stream.source);
    if (now != nullptr && is_other(*now, stream)) maker_.check_change(*now, stream, stop);
  }
  Streams starting;
  // One that is new and fails is not what the mirror has lost.
  streamers_.set_most(in_force.size() + streams.size() + 1);
  const auto failures = streamers_.failures();
  for (OwnStream& stream : streams) {
    maker_.prepare(stream, stream.tables);
    if (find(in_force, stream.source) == nullptr) {
      start(stream);
      starting.push_back(stream);
    } else if (failures.contains(stream.source)) {
      spdlog::info("starting the deltastream of source \"{}\" again", stream.source);
      start(stream);
    }
  }
  wait_for(starting, stop);
  return streams;
}

void SourceStreams::say_what_left(const Streams& streams) {
  for (const OwnStream& left : maker_.left(streams)) {
    if (told_.insert(left.slot).second) maker_.say_that_it_stays(left);
  }
}

// What is in force runs as it is to, all else goes; what stays of it at a server is said.
void SourceStreams::tidy() {
  const Streams streams = in_force();
  for (const std::string& source : streamers_.sources()) {
    if (find(streams, source) == nullptr) streamers_.stop(source);
  }
  count_those_in_force();
  for (const OwnStream& stream : streams) {
    const auto running = streamers_.of(stream.source);
    // Its connection may be another one.
    if (!running || running->command != deltastream_command(options_, stream)) start(stream);
  }
  try {
    maker_.undo_unused(streams);
    say_what_left(streams);
  } catch (const daystream::Error& e) {
    spdlog::warn("could not look which streams \"up\" has made: {}",
                 daystream::program::with_hint(e.what(), e.hint()));
  }
}

}  // namespace deltamirror
