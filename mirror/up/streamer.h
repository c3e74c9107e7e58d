// One deltastream of `up`, kept running.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <latch>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "daystream/stop.h"
#include "program/child.h"
#include "src/waiting.h"

namespace deltamirror {

// Starts it, and starts it again when it has ended though nobody asked it to: killed, or with an
// exit code that the next try may not have. The pauses between tries grow up to 15 s; what it ended
// with is logged at once, and then once a minute.
//
// What keeps it from writing is known to `status` (set_stream_trouble()): that it hangs, as its
// status file gets old, that it ends again and again, or was given up. Once it runs well that is
// over.
//
// It is given up where it needs a person or was started wrongly, and, before its stream has a first
// line, where it ends by itself with any error: what fails from the first fails again.
//
// Ownership: the destructor asks it to end, which it does at a commit, and waits for that.
// Threads:   one of its own, as the process is to end with it; what is public is for any.
class Streamer {
 public:
  struct What {
    std::string source;  // that messages name; empty: the mirror's only one
    std::vector<std::string> command;
    std::filesystem::path directory;  // of its daystream
  };

  // Returns once it was started: before, it would have our locks (start_own()), and they could not
  // be given away. `ending`: this process is about to end, and the end of the deltastream is no
  // news. `on_failure`: called with the source, on its thread, once failure() is there.
  using OnFailure = std::function<void(const std::string& source)>;
  Streamer(What what, daystream::Stop ending, OnFailure on_failure);
  Streamer(const Streamer&) = delete;
  Streamer& operator=(const Streamer&) = delete;
  ~Streamer();

  const What& what() const noexcept { return what_; }
  // Asks it to end, and does not wait.
  void stop() noexcept;
  // Why it was given up, an Error; nullptr: it was not.
  std::exception_ptr failure() const;
  bool has_failed() const { return failure() != nullptr; }

 private:
  void run();
  // nullopt: it was asked to stop.
  std::optional<daystream::program::ChildEnd> run_once();
  void look_at(const daystream::program::Child& child);
  void set_hangs(const daystream::program::Child& child, std::int64_t since_s);
  void say_end(const daystream::Error& error);
  bool is_over(const daystream::program::ChildEnd& end) const;
  bool pause(std::chrono::milliseconds length) const;
  bool stops() const { return stopping_ || ending_.requested(); }
  void give_up(std::exception_ptr failure);

  const What what_;
  const daystream::Stop ending_;
  const OnFailure on_failure_;
  daystream::WakeFd wake_;
  std::atomic<bool> stopping_ = false;
  std::once_flag told_;
  std::latch tried_{1};  // to start it, for the first time
  // Of its own thread.
  std::string words_;  // what it ended with, as it has said itself; empty: nothing
  std::chrono::steady_clock::time_point started_;
  int ends_ = 0;              // since it ran well
  std::string first_end_;     // of these
  bool hangs_ = false;        // and it was said
  mutable std::mutex mutex_;  // of the next one
  std::exception_ptr failure_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace deltamirror
