// The deltastreams of one `up`: one for each of its sources whose daystream is here.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "src/waiting.h"
#include "up/streamer.h"

namespace deltamirror {

// Sources do not depend on each other: the others go on where one is given up.
//
// Ownership: the destructor asks all of them to end, and waits for each.
// Threads:   any.
class Streamers {
 public:
  explicit Streamers(daystream::Stop ending);
  Streamers(const Streamers&) = delete;
  Streamers& operator=(const Streamers&) = delete;
  ~Streamers();

  // In place of the one that the source has.
  void start(const Streamer::What& what);
  // Returns once it has ended. Nothing where the source has none.
  void stop(const std::string& source);
  // All end at once; returns when they have.
  void stop_all();

  // As it was started; nullopt: the source has none.
  std::optional<Streamer::What> of(const std::string& source) const;
  std::vector<std::string> sources() const;
  // Of those that were given up, by source.
  std::map<std::string, std::exception_ptr> failures() const;

  // It is over once so many were given up.
  void set_most(std::size_t given_up);
  bool is_over() const noexcept { return is_over_; }
  int fd() const noexcept { return over_.fd(); }  // readable: is_over()

 private:
  void hear_failure(const std::string& source);

  const daystream::Stop ending_;
  const daystream::WakeFd over_;
  std::atomic<bool> is_over_ = false;
  std::atomic<std::size_t> most_ = 1;
  mutable std::mutex mutex_;  // of the next one; nobody waits for a thread with it
  std::vector<std::unique_ptr<Streamer>> streamers_;
};

}  // namespace deltamirror
