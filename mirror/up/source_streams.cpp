#include "up/source_streams.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "program/hint.h"
#include "program/repeats.h"
#include "src/waiting.h"
#include "up/plan.h"

namespace deltamirror {

using std::chrono::steady_clock;

namespace {

// Between two looks whether a stream is there.
constexpr std::chrono::milliseconds kLook{50};
// A slot waits for the transactions that are open at the server.
constexpr std::chrono::seconds kSoon{2};

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
  asked_.put(std::move(config));
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
  asked_.put(nullptr);
}

SourceStreams::Streams SourceStreams::in_force() {
  const std::lock_guard lock(state_.mutex);
  return state_.in_force;
}

void SourceStreams::run(const std::stop_token& stop) {
  while (const auto config = asked_.take(stop)) {
    tidy();
    if (*config != nullptr) prepare(*config, stop);
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
