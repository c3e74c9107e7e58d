// A PostgreSQL session, as owner of a libpq connection, for the streamer and the mirror.
#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daystream/error.h"
#include "daystream/stop.h"

namespace daystream::program {

struct PgConnDeleter {
  void operator()(PGconn* c) const noexcept { PQfinish(c); }
};
struct PgResultDeleter {
  void operator()(PGresult* r) const noexcept { PQclear(r); }
};
using PgConn = std::unique_ptr<PGconn, PgConnDeleter>;
using PgResult = std::unique_ptr<PGresult, PgResultDeleter>;

// The server refused. `sqlstate()` says why; the text is the server's own, with its hint.
class SqlError : public Error {
 public:
  SqlError(const std::string& message, std::string hint, std::string sqlstate)
      : Error(message, std::move(hint)), sqlstate_(std::move(sqlstate)) {}
  const std::string& sqlstate() const noexcept { return sqlstate_; }
  bool retryable() const noexcept override;  // as src/reasons.h has its SQLSTATE
  ExitCode exit_code() const noexcept override;

 private:
  std::string sqlstate_;
};

// No connection could be made: whatever it was for has not begun. Refused where the server does not
// take this role, password or database.
class NotConnected : public ConnectionLost {
 public:
  using ConnectionLost::ConnectionLost;
};

// Connects as `conninfo` (or a URI) says, with `extra` key=value pairs (replication, options,
// client_encoding…) overriding it. `application_name` is the fallback. Names are looked up in
// pg_catalog alone; RESET search_path for those that a user has written. Throws NotConnected where
// the server could not be reached or refused.
PgConn connect(const std::string& conninfo, const std::string& application_name,
               const std::vector<std::pair<std::string, std::string>>& extra = {});

// Runs one statement. Throws SqlError, or ConnectionLost when the connection broke.
PgResult exec(PGconn*, const std::string& sql);
PgResult exec_params(PGconn*, const std::string& sql, const std::vector<std::string>& params);
// For a statement that may wait for long: sends it, without its answer. Throws as exec() does.
void send(PGconn*, const std::string& sql);
// Whether the answer is there, as soon as it is; false: it is not by `until`. Where `stop` is
// requested the server is asked to end the statement, and its answer, an error, waited for.
// Throws ConnectionLost.
bool is_answered(PGconn*, std::chrono::steady_clock::time_point until, const Stop& stop);
// The answer of a statement that returns no rows. Throws as exec() does.
void take_answer(PGconn*, const std::string& sql);
// One row, one column; nullopt: NULL or no row.
std::optional<std::string> query_value(PGconn*, const std::string& sql,
                                       const std::vector<std::string>& params = {});

// Throws what `connection`'s (and `result`'s, may be null) error says, with `action` before it.
[[noreturn]] void throw_error(PGconn* connection, const PGresult* result,
                              const std::string& action);

// Asks the server to end what a connection does; the thread that waits for it sees an error.
//
// Threads: ask() from any, also while another one waits for the connection.
class Cancel {
 public:
  Cancel() = default;  // of nothing
  explicit Cancel(PGconn* connection) : cancel_(PQgetCancel(connection)) {}
  // A request that comes between two statements is lost.
  void ask() const noexcept;

 private:
  struct Free {
    void operator()(PGcancel* c) const noexcept { PQfreeCancel(c); }
  };
  std::unique_ptr<PGcancel, Free> cancel_;
};

std::string quote_identifier(std::string_view);
std::string quote_literal(std::string_view);  // standard_conforming_strings on

// Commits a transaction of our own. On an idle server nothing else moves the end of its log, which
// can stand past a page's header that nothing flushes, and so nothing moves the stream.
void commit_nothing(PGconn* connection);

}  // namespace daystream::program
