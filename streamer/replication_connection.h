// A session with PostgreSQL's walsender: SQL first, then the stream. Owns the PGconn.
//
// Threads: one.
// Errors:  ConnectionLost when the connection broke or the server ended the stream (trying again
//          may help); what explain_server_error() makes of the server's errors.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daystream/lsn.h"
#include "frames.h"
#include "program/postgres.h"

namespace deltastream {

class ReplicationConnection {
 public:
  // Connects with replication=database. Throws NeedsPerson if the role may not replicate.
  explicit ReplicationConnection(const std::string& conninfo);

  // A walsender takes simple queries only. See program/postgres.h.
  daystream::program::PgResult exec(const std::string& sql);
  std::optional<std::string> query_value(const std::string& sql);
  PGconn* get() noexcept { return connection_.get(); }

  // START_REPLICATION … LOGICAL. Until it returns nothing has been streamed; a bad plugin option is
  // an error here.
  void start(const std::string& slot, daystream::Lsn from,
             const std::vector<std::pair<std::string, std::string>>& options);

  // The next whole message that libpq already holds; nullopt: none, see read(). The view lives
  // until the next call.
  std::optional<std::string_view> receive();
  // Takes what the socket has, without waiting.
  void read();

  // Queues a status packet and sends what the socket takes; the rest goes with flush().
  void send(const StatusUpdate& update);
  // True: all is sent. False: call again when the socket is writable.
  bool flush();

  // CopyDone, then reads to the end of the stream, at most for `patience`: what still comes is not
  // wanted. Returns false if the server did not end it in time.
  bool finish(std::chrono::milliseconds patience);

  int socket() const noexcept;

 private:
  [[noreturn]] void throw_stream_end();

  daystream::program::PgConn connection_;
  struct CopyDeleter {
    void operator()(char* buffer) const noexcept { PQfreemem(buffer); }
  };
  std::unique_ptr<char, CopyDeleter> message_;
};

}  // namespace deltastream
