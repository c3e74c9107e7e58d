#include "server/replication_connection.h"

#include <fmt/format.h>

#include "server/server_error.h"
#include "src/waiting.h"

namespace deltastream {

using daystream::ConnectionLost;
using daystream::program::PgResult;
namespace program = daystream::program;

namespace {

// A role without REPLICATION is refused with no more than a text in the server's language; an
// ordinary session can tell it from a server that is away.
[[noreturn]] void throw_refused(const std::string& conninfo, const ConnectionLost& refusal) {
  std::optional<std::string> role;
  try {
    const program::PgConn ordinary =
        program::connect(conninfo, "deltastream", {{"connect_timeout", "5"}});
    role = program::query_value(ordinary.get(),
                                "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname = "
                                "current_user AND NOT rolsuper AND NOT rolreplication");
  } catch (const daystream::Error&) {
    throw refusal;  // it is away for everyone
  }
  if (!role) throw refusal;
  throw daystream::NeedsPerson(fmt::format("role \"{}\" may not replicate", *role),
                               fmt::format("as a superuser: ALTER ROLE {} REPLICATION;", *role));
}

program::PgConn connect_walsender(const std::string& conninfo) {
  try {
    // Options are UTF-8, as manifest and marks name them; the server makes of them the encoding
    // that names have in its catalog.
    return program::connect(conninfo, "deltastream",
                            {{"replication", "database"}, {"client_encoding", "UTF8"}});
  } catch (const ConnectionLost& e) {
    throw_refused(conninfo, e);
  }
}

}  // namespace

ReplicationConnection::ReplicationConnection(const std::string& conninfo)
    : connection_(connect_walsender(conninfo)) {}

PgResult ReplicationConnection::exec(const std::string& sql) {
  return program::exec(connection_.get(), sql);
}

std::optional<std::string> ReplicationConnection::query_value(const std::string& sql) {
  return program::query_value(connection_.get(), sql);
}

void ReplicationConnection::start(const std::string& slot, daystream::Lsn from,
                                  const std::vector<std::pair<std::string, std::string>>& options) {
  std::string sql = fmt::format("START_REPLICATION SLOT {} LOGICAL {}",
                                program::quote_identifier(slot), from.text());
  for (std::size_t i = 0; i < options.size(); ++i) {
    sql += fmt::format("{}{} {}", i == 0 ? " (" : ", ", program::quote_identifier(options[i].first),
                       program::quote_literal(options[i].second));
  }
  if (!options.empty()) sql += ")";
  try {
    const PgResult result(PQexec(connection_.get(), sql.c_str()));
    if (PQresultStatus(result.get()) != PGRES_COPY_BOTH) {
      program::throw_error(connection_.get(), result.get(),
                           fmt::format("could not start streaming from slot \"{}\"", slot));
    }
  } catch (const program::SqlError& e) {
    explain_server_error(e);
  }
  // A status packet must never wait for a server that does not read.
  if (PQsetnonblocking(connection_.get(), 1) != 0) {
    program::throw_error(connection_.get(), nullptr, "could not make the connection non-blocking");
  }
}

std::optional<std::string_view> ReplicationConnection::receive() {
  char* buffer = nullptr;
  const int size = PQgetCopyData(connection_.get(), &buffer, 1);
  message_.reset(buffer);
  if (size > 0) return std::string_view(buffer, static_cast<std::size_t>(size));
  if (size == 0) return std::nullopt;
  throw_stream_end();
}

void ReplicationConnection::read() {
  if (PQconsumeInput(connection_.get()) == 0) {
    program::throw_error(connection_.get(), nullptr, "lost the connection to PostgreSQL");
  }
}

void ReplicationConnection::throw_stream_end() {
  const PgResult result(PQgetResult(connection_.get()));
  const ExecStatusType status = PQresultStatus(result.get());
  if (result && status == PGRES_FATAL_ERROR) {
    try {
      program::throw_error(connection_.get(), result.get(), "PostgreSQL ended the stream");
    } catch (const program::SqlError& e) {
      explain_server_error(e);
    }
  }
  throw ConnectionLost("PostgreSQL ended the stream: it is shutting down",
                       "it connects again when the server is back");
}

void ReplicationConnection::send(const StatusUpdate& update) {
  const auto bytes = encode(update);
  if (PQputCopyData(connection_.get(), bytes.data(), static_cast<int>(bytes.size())) < 0) {
    program::throw_error(connection_.get(), nullptr, "could not send status to PostgreSQL");
  }
  flush();
}

bool ReplicationConnection::flush() {
  const int rest = PQflush(connection_.get());
  if (rest < 0) {
    program::throw_error(connection_.get(), nullptr, "could not send status to PostgreSQL");
  }
  return rest == 0;
}

bool ReplicationConnection::finish(std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  const int ended = PQputCopyEnd(connection_.get(), nullptr);
  if (ended < 0) {
    program::throw_error(connection_.get(), nullptr, "could not end the stream");
  }
  bool sent = false;
  for (;;) {
    sent = sent || flush();
    char* buffer = nullptr;
    const int size = PQgetCopyData(connection_.get(), &buffer, 1);
    message_.reset(buffer);
    if (size == -1) break;  // CopyDone, or CommandComplete of a server that shuts down
    if (size < -1) return false;
    if (size > 0) continue;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    daystream::WaitSet news;
    news.add(socket(), static_cast<short>(POLLIN | (sent ? 0 : POLLOUT)));
    if (news.wait(left) && PQconsumeInput(connection_.get()) == 0) {
      return false;
    }
  }
  return true;
}

int ReplicationConnection::socket() const noexcept {
  return PQsocket(connection_.get());
}

}  // namespace deltastream
