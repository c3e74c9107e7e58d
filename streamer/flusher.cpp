#include "flusher.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "daystream/error.h"

namespace deltastream {

using Flush = daystream::Writer::Flush;

Flusher::Flusher() : ended_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!ended_) throw daystream::IoError("could not create an event descriptor", errno);
  thread_ = std::thread([this] { work(); });
}

Flusher::~Flusher() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Flusher::start(Flush flush) {
  {
    const std::lock_guard lock(mutex_);
    flush_ = std::move(flush);
    state_ = State::Given;
  }
  busy_ = true;
  changed_.notify_all();
}

std::optional<Flush> Flusher::take() {
  std::optional<Flush> flush;
  std::exception_ptr error;
  {
    const std::lock_guard lock(mutex_);
    if (state_ != State::Ended) return std::nullopt;
    state_ = State::Idle;
    flush = std::exchange(flush_, std::nullopt);
    error = std::exchange(error_, nullptr);
  }
  busy_ = false;
  std::uint64_t count = 0;
  [[maybe_unused]] const auto drained = ::read(ended_.get(), &count, sizeof count);
  if (error) std::rethrow_exception(error);
  return flush;
}

std::optional<Flush> Flusher::wait(std::chrono::milliseconds most) {
  if (!busy_) return std::nullopt;
  {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, most, [this] { return state_ == State::Ended; })) {
      return std::nullopt;
    }
  }
  return take();
}

void Flusher::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || state_ == State::Given; });
    if (state_ != State::Given) return;
    Flush flush = *flush_;
    lock.unlock();
    std::exception_ptr error;
    try {
      flush.run();
    } catch (...) {
      error = std::current_exception();  // thrown again by take(), on the caller's thread
    }
    lock.lock();
    error_ = error;
    state_ = State::Ended;
    changed_.notify_all();
    const std::uint64_t one = 1;
    // The counter cannot be full: take() drains it each time.
    [[maybe_unused]] const auto written = ::write(ended_.get(), &one, sizeof one);
  }
}

}  // namespace deltastream
