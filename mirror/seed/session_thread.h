// Work with PostgreSQL on a thread of its own, while the owner of a mirror goes on following.
#pragma once

#include <sys/eventfd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "daystream/unique_fd.h"
#include "seed/seed_session.h"

namespace deltamirror {

// What the work has found comes as items, in order, and its error after them.
//
// Threads: one at a time may use the object; hand_over() and WithSession are for the work's own.
// Memory:  a few items.
template <typename Item>
class SessionThread {
 public:
  using Work = std::function<void(SessionThread&)>;
  explicit SessionThread(Work work)
      : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), work_(std::move(work)) {
    if (!fd_) throw daystream::IoError("could not wait for rows", errno);
    thread_ = std::thread([this] { run(); });
  }
  SessionThread(const SessionThread&) = delete;
  SessionThread& operator=(const SessionThread&) = delete;
  // Cancels what the server does for us.
  ~SessionThread() {
    {
      std::unique_lock lock(mutex_);
      stop_ = true;
      changed_.notify_all();
      // Again and again: a cancel between two statements is lost.
      while (!done_) {
        if (session_ != nullptr) session_->cancel();
        changed_.wait_for(lock, std::chrono::milliseconds(100));
      }
    }
    thread_.join();
  }

  // Readable once try_next() may have something.
  int fd() const noexcept { return fd_.get(); }
  // nullopt: nothing yet, or all was taken. Throws what went wrong.
  std::optional<Item> try_next() {
    const std::lock_guard lock(mutex_);
    if (items_.empty()) {
      eventfd_t count = 0;
      eventfd_read(fd_.get(), &count);
      if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
      return std::nullopt;
    }
    Item item = std::move(items_.front());
    items_.pop_front();
    changed_.notify_all();
    return item;
  }

  // Waits while many are not taken. Throws once the object is about to go.
  void hand_over(Item item) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stop_ || items_.size() < kQueued; });
    check_stop();
    items_.push_back(std::move(item));
    eventfd_write(fd_.get(), 1);
  }
  // The session is cancelled with the thread, from here until the end of this.
  class WithSession {
   public:
    WithSession(SessionThread& thread, SeedSession& session) : thread_(thread) {
      const std::lock_guard lock(thread_.mutex_);
      thread_.check_stop();
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

  void check_stop() const {
    if (stop_) throw daystream::Error("stopped before all was copied or compared");
  }
  void run() noexcept {
    std::exception_ptr error;
    try {
      work_(*this);
    } catch (...) {
      // Given on to the thread that asks for items.
      error = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    error_ = error;
    done_ = true;
    changed_.notify_all();
    eventfd_write(fd_.get(), 1);
  }

  daystream::UniqueFd fd_;
  const Work work_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;
  SeedSession* session_ = nullptr;  // while it lives on the thread
  std::exception_ptr error_;
  bool stop_ = false;
  bool done_ = false;
  std::thread thread_;  // last: starts when all else is there
};

}  // namespace deltamirror
