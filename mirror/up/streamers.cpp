#include "up/streamers.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "daystream/error.h"
#include "program/hint.h"

namespace deltamirror {

Streamers::Streamers(daystream::Stop ending) : ending_(std::move(ending)) {}

Streamers::~Streamers() {
  stop_all();
}

void Streamers::start(const Streamer::What& what) {
  stop(what.source);
  auto streamer = std::make_unique<Streamer>(
      what, ending_, [this](const std::string& source) { hear_failure(source); });
  const std::lock_guard lock(mutex_);
  streamers_.push_back(std::move(streamer));
}

void Streamers::stop(const std::string& source) {
  std::unique_ptr<Streamer> ending;
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(streamers_.begin(), streamers_.end(),
                                  [&](const auto& each) { return each->what().source == source; });
  if (found == streamers_.end()) return;
  ending = std::move(*found);
  streamers_.erase(found);
}

void Streamers::stop_all() {
  std::vector<std::unique_ptr<Streamer>> ending;
  {
    const std::lock_guard lock(mutex_);
    ending = std::exchange(streamers_, {});
  }
  for (const auto& streamer : ending) streamer->stop();
}

std::optional<Streamer::What> Streamers::of(const std::string& source) const {
  const std::lock_guard lock(mutex_);
  for (const auto& streamer : streamers_) {
    if (streamer->what().source == source) return streamer->what();
  }
  return std::nullopt;
}

std::vector<std::string> Streamers::sources() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> sources;
  for (const auto& streamer : streamers_) sources.push_back(streamer->what().source);
  return sources;
}

std::map<std::string, std::exception_ptr> Streamers::failures() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, std::exception_ptr> failures;
  for (const auto& streamer : streamers_) {
    if (const auto failure = streamer->failure()) failures[streamer->what().source] = failure;
  }
  return failures;
}

void Streamers::set_most(std::size_t given_up) {
  most_ = given_up;
  if (failures().size() < given_up) return;
  is_over_ = true;
  over_.wake();
}

// On a thread of theirs.
void Streamers::hear_failure(const std::string& source) {
  set_most(most_);
  const auto all = failures();
  const auto failure = all.find(source);
  if (is_over_ || failure == all.end()) return;
  try {
    std::rethrow_exception(failure->second);
  } catch (const daystream::Error& e) {
    spdlog::error("{}",
                  daystream::program::with_hint(
                      fmt::format("{}; the other sources go on", e.what()),
                      daystream::program::hint_then(e.hint(), "then SIGHUP starts it again")));
  }
}

}  // namespace deltamirror
