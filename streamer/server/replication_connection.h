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
#include "program/postgres.h"
#include "server/replication_stream.h"

namespace deltastream {

class ReplicationConnection final : public ReplicationStream {
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

  std::optional<std::string_view> receive() override;
  void read() override;
  void send(const StatusUpdate& update) override;
  bool flush() override;
  bool finish(std::chrono::milliseconds patience) override;
  int socket() const noexcept override;

 private:
  [[noreturn]] void throw_stream_end();

  daystream::program::PgConn connection_;
  struct CopyDeleter {
    void operator()(char* buffer) const noexcept { PQfreemem(buffer); }
  };
  std::unique_ptr<char, CopyDeleter> message_;
};

}  // namespace deltastream
