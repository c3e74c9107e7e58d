// The deltastreams of one `up`: one for each of its sources whose daystream is here.
#pragma once

#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "up/streamer.h"

namespace deltamirror {

// Ownership: the destructor asks all of them to end, and waits for each.
// Threads:   any.
class Streamers {
 public:
  // `on_failure`: called on a thread of theirs, once failures() has the source.
  Streamers(daystream::Stop ending, Streamer::OnFailure on_failure);
  Streamers(const Streamers&) = delete;
  Streamers& operator=(const Streamers&) = delete;
  ~Streamers();

  // The source has none, or one that was given up.
  void start(Streamer::What what);
  // All end at once; returns when they have.
  void stop_all();

  // Of those that were given up, by source.
  std::map<std::string, std::exception_ptr> failures() const;

 private:
  const daystream::Stop ending_;
  const Streamer::OnFailure on_failure_;
  mutable std::mutex mutex_;  // of the next one; nobody waits for a thread with it
  std::vector<std::unique_ptr<Streamer>> streamers_;
};

}  // namespace deltamirror
