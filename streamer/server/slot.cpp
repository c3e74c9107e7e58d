#include "server/slot.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>

#include "program/program.h"
#include "server/publication.h"
#include "server/server_error.h"
#include "server/synchronous_standby.h"
#include "src/waiting.h"

namespace deltastream {

using daystream::ConnectionLost;
using daystream::Lsn;
using daystream::NeedsPerson;
using daystream::program::PgResult;
namespace program = daystream::program;

namespace {

std::string text_at(const PgResult& result, int column) {
  return PQgetisnull(result.get(), 0, column) ? "" : PQgetvalue(result.get(), 0, column);
}

// The transaction our walsender waits for, asked on a connection of its own: ours is busy waiting.
std::string blocking_transaction(const std::string& conninfo, int walsender_pid) {
  try {
    const program::PgConn other =
        program::connect(conninfo, "deltastream", {{"connect_timeout", "5"}});
    const std::string sql = fmt::format(
        "SELECT CASE WHEN p.gid IS NULL THEN "
        "format('transaction %s of process %s, user %s, database %s, open since %s', "
        "wanted.transactionid, holder.pid, coalesce(a.usename, '?'), coalesce(a.datname, '?'), "
        "coalesce(date_trunc('second', a.xact_start)::text, '?')) ELSE "
        "format('prepared transaction %L, user %s, database %s, prepared at %s', "
        "p.gid, p.owner, p.database, date_trunc('second', p.prepared)) END "
        "FROM pg_locks wanted JOIN pg_locks holder ON holder.transactionid = wanted.transactionid "
        "AND holder.granted LEFT JOIN pg_stat_activity a ON a.pid = holder.pid "
        "LEFT JOIN pg_prepared_xacts p ON p.transaction = holder.transactionid "
        "WHERE wanted.pid = {} AND NOT wanted.granted LIMIT 1",
        walsender_pid);
    return program::query_value(other.get(), sql).value_or("");
  } catch (const daystream::Error& e) {
    spdlog::debug("could not find out what slot creation waits for: {}", e.what());
    return "";
  }
}

// Ends the running command; the server removes the half-made slot.
void cancel(PGconn* connection) {
  program::Cancel(connection).ask();
  while (PGresult* result = PQgetResult(connection)) PQclear(result);
}

bool knows_failover(PGconn* connection) {
  return PQserverVersion(connection) >= 170000;
}

// Waits until the running command has its result. False: `until` came first.
bool wait_for_result(PGconn* connection, std::chrono::steady_clock::time_point until,
                     const program::Signals& signals) {
  while (PQisBusy(connection) != 0) {
    if (std::chrono::steady_clock::now() >= until || signals.stop_requested()) return false;
    const int socket = PQsocket(connection);
    daystream::WaitSet news{socket, signals.stop().fd()};
    if (news.wait_until(until) && news.ready(socket) && PQconsumeInput(connection) == 0) {
      program::throw_error(connection, nullptr, "lost the connection to PostgreSQL");
    }
  }
  return true;
}

}  // namespace

NeedsPerson slot_exists(const std::string& name) {
  return NeedsPerson(fmt::format("replication slot \"{}\" already exists", name),
                     "leave out --create-slot, or add --if-not-exists");
}

std::optional<Slot> find_slot(ReplicationConnection& connection, const std::string& name) {
  const PgResult result = connection.exec(fmt::format(
      "SELECT s.plugin, s.database, s.wal_status, s.active_pid, s.confirmed_flush_lsn, "
      "concat_ws(', ', nullif(a.application_name, ''), host(a.client_addr)), "
      // Columns that older servers do not have.
      "to_jsonb(s) ->> 'failover', to_jsonb(s) ->> 'invalidation_reason' "
      "FROM pg_replication_slots s LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid "
      "WHERE s.slot_name = {}",
      program::quote_literal(name)));
  if (PQntuples(result.get()) == 0) return std::nullopt;
  Slot slot;
  slot.name = name;
  slot.plugin = text_at(result, 0);
  slot.database = text_at(result, 1);
  slot.wal_status = text_at(result, 2);
  if (!text_at(result, 3).empty()) slot.active_pid = std::atoi(text_at(result, 3).c_str());
  slot.confirmed_flush = Lsn::parse(text_at(result, 4)).value_or(Lsn{});
  slot.active_for = text_at(result, 5);
  slot.failover = text_at(result, 6) == "true";
  slot.invalidation = text_at(result, 7);
  return slot;
}

bool can_be_read(ReplicationConnection& connection, const Config& config, const Slot& slot) {
  if (slot.lost()) return false;
  std::string options;
  if (!config.publication.empty()) {
    for (const auto& [name, value] : pgoutput_options(config.publication, false)) {
      options +=
          fmt::format(", {}, {}", program::quote_literal(name), program::quote_literal(value));
    }
  }
  try {
    connection.exec(
        fmt::format("SELECT count(*) FROM pg_logical_slot_peek_binary_changes({}, '{}', 1{})",
                    program::quote_literal(slot.name), slot.confirmed_flush.text(), options));
  } catch (const program::SqlError& e) {
    try {
      explain_server_error(e);
    } catch (const SlotLost&) {
      return false;
    }
  }
  return true;
}

Lsn create_slot(ReplicationConnection& connection, const Config& config,
                const program::Signals& signals,
                const std::function<void(const std::string&)>& look) {
  const std::string& name = config.slot;
  refuse_if_required_synchronous_standby(connection);
  PGconn* pg = connection.get();
  const std::string action = fmt::format("could not create replication slot \"{}\"", name);
  const std::string sql = fmt::format(
      "CREATE_REPLICATION_SLOT {} LOGICAL {} (SNAPSHOT '{}'{})", program::quote_identifier(name),
      program::quote_identifier(config.plugin()), look ? "export" : "nothing",
      config.failover && knows_failover(pg) ? ", FAILOVER" : "");
  if (PQsendQuery(pg, sql.c_str()) == 0) program::throw_error(pg, nullptr, action);

  const auto now = [] { return std::chrono::steady_clock::now(); };
  const auto deadline = now() + config.create_timeout;
  std::string waits_for;
  // It usually takes milliseconds; say something only when it does not.
  while (!wait_for_result(pg, std::min(deadline, now() + std::chrono::seconds(2)), signals)) {
    const std::string blocker = blocking_transaction(config.conninfo, PQbackendPID(pg));
    if (!blocker.empty() && blocker != waits_for) {
      spdlog::info("creating slot \"{}\" waits for {}", name, blocker);
      waits_for = blocker;
    }
    if (now() >= deadline || signals.stop_requested()) {
      cancel(pg);
      throw NeedsPerson(fmt::format("{}: still waiting for {}", action,
                                    waits_for.empty() ? "older transactions to end" : waits_for),
                        "end that transaction (a prepared one with COMMIT PREPARED or ROLLBACK "
                        "PREPARED), or wait "
                        "longer with --create-timeout; no slot was left behind");
    }
  }
  Lsn consistent_point;
  std::string snapshot;
  while (const PgResult result{PQgetResult(pg)}) {
    if (PQresultStatus(result.get()) != PGRES_TUPLES_OK) {
      try {
        program::throw_error(pg, result.get(), action);
      } catch (const program::SqlError& e) {
        explain_server_error(e);
      }
    }
    consistent_point = Lsn::parse(text_at(result, 1)).value_or(Lsn{});
    snapshot = text_at(result, 2);
  }
  if (look) look(snapshot);
  spdlog::info("created replication slot \"{}\" at {}", name, consistent_point.text());
  return consistent_point;
}

void set_failover(ReplicationConnection& connection, const Slot& slot, bool wanted) {
  if (!knows_failover(connection.get()) || slot.failover == wanted || slot.active_pid) return;
  connection.exec(fmt::format("ALTER_REPLICATION_SLOT {} (FAILOVER {})",
                              program::quote_identifier(slot.name), wanted));
  spdlog::info("standbys that synchronize slots {} replication slot \"{}\" {}",
               wanted ? "will keep" : "do not keep", slot.name, wanted ? "too" : "any longer");
}

void drop_slot(ReplicationConnection& connection, const Config& config, bool wait) {
  const std::string& name = config.slot;
  const std::optional<Slot> slot = find_slot(connection, name);
  if (!slot) {
    throw NeedsPerson(fmt::format("replication slot \"{}\" does not exist", name),
                      "SELECT slot_name FROM pg_replication_slots lists them");
  }
  if (slot->plugin != config.plugin()) {
    throw NeedsPerson(
        fmt::format("replication slot \"{}\" is not ours to drop: it uses plugin "
                    "\"{}\", not \"{}\"",
                    name, slot->plugin, config.plugin()),
        "name another with -S, or drop it by SQL: SELECT pg_drop_replication_slot(…);");
  }
  if (slot->active_pid && !wait) {
    throw ConnectionLost(
        fmt::format("replication slot \"{}\" is in use by process {}", name, *slot->active_pid),
        "stop that deltastream first");
  }
  try {
    connection.exec(fmt::format("DROP_REPLICATION_SLOT {} WAIT", program::quote_identifier(name)));
  } catch (const program::SqlError& e) {
    explain_server_error(e);
  }
  spdlog::info("dropped replication slot \"{}\"", name);
}

}  // namespace deltastream
