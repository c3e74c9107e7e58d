// Work with PostgreSQL on a thread of its own, while the owner of a mirror goes on following.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <variant>

#include "daystream/stop.h"
#include "program/handover.h"
#include "seed/seed_session.h"
#include "src/waiting.h"

namespace deltamirror {

// What the work has found comes as items, in order, and its error after them.
//
// Threads: one at a time may use the object; hand_over() and WithSession are for the work's own.
// Memory:  a few items.
template <typename Item>
class SessionThread {
 public:
  using Work = std::function<void(SessionThread&)>;
  explicit SessionThread(Work work) : work_(std::move(work)), thread_([this] { run(); }) {}
  SessionThread(const SessionThread&) = delete;
  SessionThread& operator=(const SessionThread&) = delete;
  // Cancels what the server does for us.
  ~SessionThread() {
    stop_.request_stop();
    stop_wake_.wake();
    // Again and again: a cancel between two statements is lost.
    do {
      const std::lock_guard lock(mutex_);
      if (session_ != nullptr) session_->cancel();
    } while (!ended_.take(std::chrono::milliseconds(100)));
  }

  // Readable once try_next() may have something.
  int fd() const noexcept { return wake_.fd(); }
  // nullopt: nothing yet, or all was taken. Throws what went wrong.
  std::optional<Item> try_next() {
    wake_.clear();
    std::optional<Item> item = items_.try_pop();
    if (items_.has_more()) wake_.wake();
    return item;
  }

  // Waits while many are not taken. Throws once the object is about to go.
  void hand_over(Item item) {
    if (!items_.push(stop_.get_token(), std::move(item))) stopped();
    wake_.wake();
  }
  // For the work: requested once the object is about to go.
  daystream::Stop stop() const {
    return {[this] { return stop_.stop_requested(); }, stop_wake_.fd()};
  }
  // The session is cancelled with the thread, from here until the end of this.
  class WithSession {
   public:
    WithSession(SessionThread& thread, SeedSession& session) : thread_(thread) {
      const std::lock_guard lock(thread_.mutex_);
      if (thread_.stop_.stop_requested()) stopped();
      thread_.session_ = &session;
    }
    WithSession(const WithSession&) = delete;
    WithSession& operator=(const WithSession&) = delete;
    ~WithSession() {
      const std::lock_guard lock(thread_.mutex_);
      thread_.session_ = nullptr;
    }

   private:
    SessionThread& thread_;
  };

 private:
  static constexpr std::size_t kQueued = 8;

  [[noreturn]] static void stopped() {
    throw daystream::Error("stopped before all was copied or compared");
  }
  void run() noexcept {
    try {
      work_(*this);
      items_.close();
    } catch (...) {
      items_.close(std::current_exception());  // for the thread that asks for items
      wake_.wake();
    }
    ended_.put({});
  }

  daystream::WakeFd wake_;
  const Work work_;
  std::stop_source stop_;
  daystream::WakeFd stop_wake_;
  daystream::program::BoundedQueue<Item> items_{kQueued};
  std::mutex mutex_;                // of session_
  SeedSession* session_ = nullptr;  // while it lives on the thread
  daystream::program::Mailbox<std::monostate> ended_;
  std::jthread thread_;  // last: starts when all else is there
};

}  // namespace deltamirror
