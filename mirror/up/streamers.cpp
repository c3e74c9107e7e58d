#include "up/streamers.h"

#include <utility>

namespace deltamirror {

Streamers::Streamers(daystream::Stop ending, Streamer::OnFailure on_failure)
    : ending_(std::move(ending)), on_failure_(std::move(on_failure)) {}

Streamers::~Streamers() {
  stop_all();
}

void Streamers::start(Streamer::What what) {
  const std::lock_guard lock(mutex_);
  std::erase_if(streamers_, [&](const auto& each) { return each->source() == what.source; });
  streamers_.push_back(std::make_unique<Streamer>(std::move(what), ending_, on_failure_));
}

void Streamers::stop_all() {
  std::vector<std::unique_ptr<Streamer>> ending;
  {
    const std::lock_guard lock(mutex_);
    ending = std::exchange(streamers_, {});
  }
  for (const auto& streamer : ending) streamer->stop();
}

std::map<std::string, std::exception_ptr> Streamers::failures() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, std::exception_ptr> failures;
  for (const auto& streamer : streamers_) {
    if (const auto failure = streamer->failure()) failures[streamer->source()] = failure;
  }
  return failures;
}

}  // namespace deltamirror
