#include "server/server_monitor.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <utility>

#include "program/postgres.h"
#include "server/one_line.h"
#include "server/slot.h"
#include "server/synchronous_standby.h"

namespace deltastream {

namespace program = daystream::program;

namespace {

std::uint64_t unsigned_at(const program::PgResult& row, int column) {
  return std::strtoull(PQgetvalue(row.get(), 0, column), nullptr, 10);
}

daystream::Lsn lsn_at(const program::PgResult& row, int column) {
  return daystream::Lsn::parse(PQgetvalue(row.get(), 0, column)).value_or(daystream::Lsn{});
}

}  // namespace

daystream::Lsn end_of_records(daystream::Lsn insert, std::uint64_t page_bytes,
                              std::uint64_t segment_bytes) noexcept {
  constexpr std::uint64_t kPageHeader = 24;
  constexpr std::uint64_t kSegmentHeader = 40;  // of its first page
  const bool first_page = insert.value % segment_bytes < page_bytes;
  const std::uint64_t header = first_page ? kSegmentHeader : kPageHeader;
  return insert.value % page_bytes == header ? daystream::Lsn{insert.value - header} : insert;
}

ServerMonitor::ServerMonitor(std::string conninfo, std::string slot,
                             std::chrono::milliseconds interval)
    : conninfo_(std::move(conninfo)), slot_(std::move(slot)), interval_(interval) {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    do {
      newest_.put(ask());
    } while (program::sleep(stop, interval_));
  });
}

std::optional<ServerAnswer> ServerMonitor::take() {
  return newest_.try_take();
}

ServerAnswer ServerMonitor::ask() const {
  try {
    return {sample(), {}};
  } catch (const daystream::Error& e) {
    spdlog::debug("could not ask the server about slot \"{}\": {}", slot_, e.what());
    return {std::nullopt, one_line(e.what())};
  }
}

ServerSample ServerMonitor::sample() const {
  // With the stream's own application_name: the answer below says what it is, also where the
  // connection string sets another.
  const program::PgConn connection =
      program::connect(conninfo_, "deltastream", {{"connect_timeout", "3"}});
  program::exec(connection.get(), "SET statement_timeout = '3s'");
  // Not pg_stat_replication's sync_state: it is hidden from a role without pg_read_all_stats.
  const program::PgResult row = program::exec_params(
      connection.get(),
      "SELECT pg_current_wal_lsn(), coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), "
      "0)::bigint, safe_wal_size, wal_status, current_setting('synchronous_standby_names'), "
      "current_setting('application_name'), active, "
      // statement_timestamp is taken before the statement looks at the WAL. The insert position
      // counts, because an asynchronous commit that has returned may not be written yet.
      "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint, "
      "pg_current_wal_insert_lsn(), current_setting('wal_block_size'), "
      "pg_size_bytes(current_setting('wal_segment_size')), "
      // With fail-over slots the server sends nothing that these standbys do not have (17).
      "(SELECT current_setting('synchronized_standby_slots', true) FROM pg_stat_activity a "
      "WHERE a.pid = active_pid AND a.wait_event = 'WaitForStandbyConfirmation') "
      "FROM pg_replication_slots WHERE slot_name = $1",
      {slot_});
  if (PQntuples(row.get()) == 0) {
    throw SlotLost(fmt::format("replication slot \"{}\" does not exist", slot_));
  }
  ServerSample sample;
  sample.at = std::chrono::steady_clock::now();
  sample.wal_lsn = lsn_at(row, 0);
  sample.retained_bytes = unsigned_at(row, 1);
  if (!PQgetisnull(row.get(), 0, 2)) {
    const std::int64_t safe = std::strtoll(PQgetvalue(row.get(), 0, 2), nullptr, 10);
    sample.until_lost_bytes = safe > 0 ? static_cast<std::uint64_t>(safe) : 0;
  }
  sample.wal_status = PQgetvalue(row.get(), 0, 3);
  sample.synchronous_standby =
      StandbyNames::parse(PQgetvalue(row.get(), 0, 4)).includes(PQgetvalue(row.get(), 0, 5));
  if (!PQgetisnull(row.get(), 0, 11)) {
    sample.waiting_for = fmt::format(
        "PostgreSQL waits for the standbys of synchronized_standby_slots ({}) before it sends more",
        PQgetvalue(row.get(), 0, 11));
  }
  // After a failover another server may answer here than the one that we stream from.
  if (*PQgetvalue(row.get(), 0, 6) == 't') {
    sample.wal_end = {end_of_records(lsn_at(row, 8), unsigned_at(row, 9), unsigned_at(row, 10)),
                      static_cast<std::int64_t>(unsigned_at(row, 7))};
  }
  return sample;
}

}  // namespace deltastream
