// Runs a Writer's group commits on a thread of its own, one at a time, so that receiving and
// answering the server go on whatever the disk does.
//
// Threads: one thread calls everything; the Flush runs on the Flusher's. The destructor waits for
//          the one that runs.
#pragma once

#include <chrono>
#include <exception>
#include <optional>
#include <thread>

#include "daystream/writer.h"
#include "program/handover.h"
#include "src/waiting.h"

namespace deltastream {

class Flusher {
 public:
  Flusher();
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;

  bool busy() const noexcept { return busy_; }
  // Begins one. Must not be busy().
  void start(daystream::Writer::Flush flush);
  // Readable when the one that runs has ended: for poll().
  int fd() const noexcept { return wake_.fd(); }
  // If it has ended: it, for Writer::finish_flush(), or the IoError of its run().
  std::optional<daystream::Writer::Flush> take();
  // The same after waiting for its end, at most so long. nullopt: it still runs (busy() is true),
  // or none did.
  std::optional<daystream::Writer::Flush> wait(std::chrono::milliseconds most);

 private:
  struct Ended {
    daystream::Writer::Flush flush;
    std::exception_ptr error;
  };

  void work(const std::stop_token& stop);
  std::optional<daystream::Writer::Flush> taken(std::optional<Ended> ended);

  daystream::WakeFd wake_;
  bool busy_ = false;  // the caller's view: started and not yet taken
  daystream::program::Mailbox<daystream::Writer::Flush> given_;
  daystream::program::Mailbox<Ended> ended_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace deltastream
