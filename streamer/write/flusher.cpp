#include "write/flusher.h"

#include <utility>

namespace deltastream {

using Flush = daystream::Writer::Flush;

Flusher::Flusher() : thread_([this](const std::stop_token& stop) { work(stop); }) {}

void Flusher::start(Flush flush) {
  busy_ = true;
  given_.put(std::move(flush));
}

std::optional<Flush> Flusher::take() {
  return taken(ended_.try_take());
}

std::optional<Flush> Flusher::wait(std::chrono::milliseconds most) {
  if (!busy_) return std::nullopt;
  return taken(ended_.take(most));
}

std::optional<Flush> Flusher::taken(std::optional<Ended> ended) {
  if (!ended) return std::nullopt;
  busy_ = false;
  wake_.clear();
  if (ended->error) std::rethrow_exception(ended->error);
  return std::move(ended->flush);
}

void Flusher::work(const std::stop_token& stop) {
  while (auto flush = given_.take(stop)) {
    std::exception_ptr error;
    try {
      flush->run();
    } catch (...) {
      error = std::current_exception();  // thrown again by take(), on the caller's thread
    }
    ended_.put({std::move(*flush), error}, wake_);
  }
}

}  // namespace deltastream
