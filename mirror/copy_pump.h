// Receives COPY's rows on a thread of its own, so that the network and SQLite work side by side.
#pragma once

#include <libpq-fe.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace deltamirror {

// Ownership: borrows the connection, which must be in COPY OUT and is the pump's alone until next()
//            has said nullptr or the pump is destroyed.
// Memory:    a few batches of about 256 KiB (and a row is held whole).
class CopyPump {
 public:
  struct Batch {
    std::string bytes;              // rows, one after the other
    std::vector<std::size_t> ends;  // where each ends
  };

  explicit CopyPump(PGconn* connection);
  CopyPump(const CopyPump&) = delete;
  CopyPump& operator=(const CopyPump&) = delete;
  ~CopyPump();  // stops receiving; the connection is then of no more use if rows were left

  // The next rows, to be overwritten at will; nullptr after the last. Valid until the next call.
  // Throws what the server or connection said.
  Batch* next();

 private:
  void receive();

  PGconn* connection_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> full_;
  std::vector<Batch> spare_;
  bool done_ = false;
  bool stop_ = false;
  std::exception_ptr error_;
  Batch current_;
  bool finished_ = false;  // next() has said so
  std::thread thread_;     // last: starts when all else is there
};

}  // namespace deltamirror
