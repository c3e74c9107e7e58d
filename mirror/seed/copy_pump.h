// Receives COPY's rows and converts them on a thread of its own, so that the network and SQLite
// work side by side.
#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "program/handover.h"
#include "values/binary_copy.h"

namespace deltamirror {

// Receives all rows of a COPY into `batch`, and calls `hand_over` for every 256 KiB of them and for
// what is left at the end: it takes them and leaves an empty batch. False from it: no more is
// wanted, and the COPY stays where it is. Throws what the server or connection said.
void receive_rows(PGconn* connection, BinaryCopy& copy, RowBatch& batch,
                  const std::function<bool()>& hand_over);

// Ownership: borrows the connection, which must be in binary COPY OUT. It is the pump's until
//            next() has returned nullptr, or the pump is destroyed.
// Memory:    a few batches of about 256 KiB (and a row is held whole).
class CopyPump {
 public:
  CopyPump(PGconn* connection, std::vector<CopyColumn> columns);
  CopyPump(const CopyPump&) = delete;
  CopyPump& operator=(const CopyPump&) = delete;
  ~CopyPump();  // stops receiving; the connection is then of no more use if rows were left

  // The next rows; nullptr after the last. Valid until the next call. Throws what the server or
  // connection said, and ProtocolError.
  const RowBatch* next();
  // Whether next() has no need to wait: waits so long for that.
  bool ready(std::chrono::milliseconds timeout);

 private:
  void receive(const std::stop_token& stop);
  RowBatch empty_batch();

  PGconn* connection_;
  BinaryCopy copy_;  // of the thread
  daystream::program::BoundedQueue<RowBatch> full_;
  std::mutex mutex_;             // of spare_
  std::vector<RowBatch> spare_;  // read, to be filled again
  std::optional<RowBatch> current_;
  bool finished_ = false;  // next() has said so
  std::jthread thread_;    // last: starts when all else is there
};

}  // namespace deltamirror
