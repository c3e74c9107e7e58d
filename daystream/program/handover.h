// How one thread hands values to another. A thread itself is a std::jthread: its destructor asks it
// to stop by its token, which each function here that sleeps listens to, and waits for it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include "src/waiting.h"

namespace daystream::program {

// False: `stop` was requested, now or meanwhile.
inline bool sleep(const std::stop_token& stop, std::chrono::milliseconds length) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait_for(lock, stop, length, [] { return false; });
  return !stop.stop_requested();
}

// The newest value counts: one that was not taken is replaced by the next.
template <typename T>
class Mailbox {
 public:
  void put(T value) {
    {
      const std::lock_guard lock(mutex_);
      value_ = std::move(value);
    }
    changed_.notify_one();
  }
  // Also wakes a thread that sleeps in poll(): before anybody can have taken the value, so that a
  // clear() after that is the last word.
  void put(T value, const WakeFd& wake) {
    {
      const std::lock_guard lock(mutex_);
      value_ = std::move(value);
      wake.wake();
    }
    changed_.notify_one();
  }

  std::optional<T> try_take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(value_, std::nullopt);
  }
  // Waits for one, at most so long.
  std::optional<T> take(std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, most, [this] { return value_.has_value(); });
    return std::exchange(value_, std::nullopt);
  }
  // Waits for one. One that is there is still taken after a request to stop; then nullopt comes.
  std::optional<T> take(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [this] { return value_.has_value(); });
    return std::exchange(value_, std::nullopt);
  }
  // The same, at most so long.
  std::optional<T> take(const std::stop_token& stop, std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stop, most, [this] { return value_.has_value(); });
    return std::exchange(value_, std::nullopt);
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<T> value_;
};

// Values in order, a few at a time, and at last their end or the error that ended them.
template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t most) : most_(most) {}

  // Waits while there are `most`. False: `stop` was requested, and the value is dropped.
  bool push(const std::stop_token& stop, T value) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [this] { return values_.size() < most_; });
    if (stop.stop_requested()) return false;
    values_.push_back(std::move(value));
    changed_.notify_all();
    return true;
  }
  // No more comes.
  void close(std::exception_ptr error = nullptr) {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    error_ = std::move(error);
    changed_.notify_all();
  }

  // Whether pop() has no need to wait: waits so long for that.
  bool ready(std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, most, [this] { return has_news(); });
  }
  // Waits. nullopt: that was the last one. Throws the error in its place, once.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return has_news(); });
    return take();
  }
  // There is a value, or an error in its place: a next pop would be of use.
  bool has_more() {
    const std::lock_guard lock(mutex_);
    return error_ != nullptr || !values_.empty();
  }
  // The same without waiting; nullopt also where there is nothing yet.
  std::optional<T> try_pop() {
    const std::lock_guard lock(mutex_);
    return take();
  }

 private:
  bool has_news() const { return closed_ || !values_.empty(); }
  std::optional<T> take() {
    if (values_.empty()) {
      if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
      return std::nullopt;
    }
    std::optional<T> value(std::move(values_.front()));
    values_.pop_front();
    changed_.notify_all();
    return value;
  }

  const std::size_t most_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<T> values_;
  bool closed_ = false;
  std::exception_ptr error_;
};

}  // namespace daystream::program
