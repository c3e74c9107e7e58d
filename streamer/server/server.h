// What must be known of the server before streaming.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "daystream/lsn.h"
#include "server/replication_connection.h"
#include "server/timeline.h"

namespace deltastream {

struct PgServer {
  int version = 0;  // as PQserverVersion() has it
  std::string system_identifier;
  TimelineId timeline = 0;
  daystream::Lsn flush_lsn;  // the end of its durable WAL when asked
  std::string database;
  std::int64_t clock_us = 0;                        // its clock when asked, since 1970
  std::chrono::milliseconds wal_sender_timeout{0};  // 0: never
  bool synchronous_standby = false;                 // whether its commits may wait for us
};

// Throws ConnectionLost from a standby: it may be promoted.
PgServer identify(ReplicationConnection& connection);

// The next 64-bit transaction id of the cluster: uses one up, so ask seldom. Every transaction that
// had begun before has a smaller one.
std::uint64_t next_transaction_id(PGconn* connection);

}  // namespace deltastream
