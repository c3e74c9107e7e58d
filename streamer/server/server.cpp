#include "server/server.h"

#include <fmt/format.h>

#include <cstdlib>

#include "server/synchronous_standby.h"

namespace deltastream {

namespace program = daystream::program;

PgServer identify(ReplicationConnection& connection) {
  constexpr int kOldestVersion = 150000;
  if (PQserverVersion(connection.get()) < kOldestVersion) {
    throw daystream::NeedsPerson(
        fmt::format("PostgreSQL {} is too old: 15 or later is needed",
                    connection.query_value("SHOW server_version").value_or("?")),
        "upgrade the server");
  }
  if (connection.query_value("SELECT pg_is_in_recovery()") == "t") {
    throw daystream::ConnectionLost("this server is a standby, which cannot decode its WAL",
                                    "connect to the primary");
  }
  PgServer server;
  server.version = PQserverVersion(connection.get());
  const program::PgResult row = connection.exec("IDENTIFY_SYSTEM");
  server.system_identifier = PQgetvalue(row.get(), 0, 0);
  server.timeline = static_cast<TimelineId>(std::strtoul(PQgetvalue(row.get(), 0, 1), nullptr, 10));
  server.flush_lsn = daystream::Lsn::parse(PQgetvalue(row.get(), 0, 2)).value_or(daystream::Lsn{});
  server.database = PQgetvalue(row.get(), 0, 3);
  const std::string clock =
      connection.query_value("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
          .value_or("0");
  server.clock_us = std::strtoll(clock.c_str(), nullptr, 10);
  const std::string timeout =
      connection.query_value("SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'")
          .value_or("0");
  server.wal_sender_timeout = std::chrono::milliseconds(std::strtoll(timeout.c_str(), nullptr, 10));
  server.synchronous_standby = is_synchronous_standby(connection);
  return server;
}

std::uint64_t next_transaction_id(PGconn* connection) {
  // Nobody needs this transaction on disk; and a commit that waits for a synchronous standby,
  // which may be us, must not be ours.
  program::exec(connection, "SET synchronous_commit = off");
  const std::string id =
      program::query_value(connection, "SELECT pg_current_xact_id()").value_or("0");
  return std::strtoull(id.c_str(), nullptr, 10) + 1;
}

}  // namespace deltastream
