// Runs a Writer's group commits on a thread of its own, one at a time, so that receiving and
// answering the server go on whatever the disk does.
//
// Threads: one thread calls everything; the Flush runs on the Flusher's.
#pragma once

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "daystream/unique_fd.h"
#include "daystream/writer.h"

namespace deltastream {

class Flusher {
 public:
  Flusher();
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;
  ~Flusher();  // waits for the one that runs

  bool busy() const noexcept { return busy_; }
  // Begins one. Must not be busy().
  void start(daystream::Writer::Flush flush);
  // Readable when the one that runs has ended: for poll().
  int fd() const noexcept { return ended_.get(); }
  // If it has ended: it, for Writer::finish_flush(), or the IoError of its run().
  std::optional<daystream::Writer::Flush> take();
  // The same after waiting for its end, at most so long. nullopt: it still runs (busy() is true),
  // or none did.
  std::optional<daystream::Writer::Flush> wait(std::chrono::milliseconds most);

 private:
  enum class State { Idle, Given, Ended };

  void work();

  daystream::UniqueFd ended_;
  bool busy_ = false;  // the caller's view: started and not yet taken
  std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::Idle;
  bool stop_ = false;
  std::optional<daystream::Writer::Flush> flush_;
  std::exception_ptr error_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace deltastream
