// What the server streams once START_REPLICATION is done, message by message, and what we answer.
// An interface, so that a test can be the server.
//
// Threads: one.
// Errors:  ConnectionLost when the connection broke or the server ended the stream (trying again
//          may help), and what the server complains of.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "server/frames.h"

namespace deltastream {

class ReplicationStream {
 public:
  virtual ~ReplicationStream() = default;

  // The next whole message that is here already; nullopt: none, see read(). The view lives until
  // the next call.
  virtual std::optional<std::string_view> receive() = 0;
  // Takes what the socket has, without waiting.
  virtual void read() = 0;

  // Queues a status packet and sends what the socket takes; the rest goes with flush().
  virtual void send(const StatusUpdate& update) = 0;
  // True: all is sent. False: call again when the socket is writable.
  virtual bool flush() = 0;

  // CopyDone, then reads to the end of the stream, at most for `patience`: what still comes is not
  // wanted. Returns false if the server did not end it in time.
  virtual bool finish(std::chrono::milliseconds patience) = 0;

  virtual int socket() const noexcept = 0;  // for poll()
};

}  // namespace deltastream
