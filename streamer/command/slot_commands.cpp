#include "command/slot_commands.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "command/checks.h"
#include "daystream/writer.h"
#include "pgoutput/shape_log.h"
#include "server/server.h"
#include "server/slot.h"

namespace deltastream {

using daystream::Lsn;
using daystream::Writer;

namespace {

bool needs_new_slot(const std::optional<Slot>& slot, Lsn last_lsn) {
  return !slot || slot->lost() || slot->confirmed_flush > last_lsn;
}

// Without a line it ends where it was to begin.
Lsn end_of(const Writer& writer) {
  return writer.empty() ? writer.manifest().begun.value_or(Lsn{}) : writer.last_lsn();
}

}  // namespace

void run_create_slot(const Config& config, const daystream::program::Signals& signals) {
  ReplicationConnection connection(config.conninfo);
  identify(connection);
  check_settings(connection, config);
  if (find_slot(connection, config.slot)) {
    if (config.if_not_exists) return;
    throw slot_exists(config.slot);
  }
  create_slot(connection, config, signals);
}

void run_drop_slot(const Config& config) {
  ReplicationConnection connection(config.conninfo);
  drop_slot(connection, config);
}

void run_recreate_slot(const Config& config, const daystream::program::Signals& signals) {
  ReplicationConnection connection(config.conninfo);
  const PgServer server = identify(connection);
  check_settings(connection, config);
  const auto manifest = find_manifest(config.directory);
  if (!manifest) {
    throw daystream::ConfigError(
        fmt::format("there is no daystream in \"{}\" to go on with", config.directory),
        "use --create-slot to begin one");
  }
  check_source(*manifest, server, config.slot, config.directory);
  const std::optional<Slot> slot = find_slot(connection, config.slot);
  if (slot && !slot->lost()) check_slot(*slot, server, config);

  // Recovery gets no `confirmed_flush`: that slot is given up, and must not reach into our lines.
  Writer writer(config.directory, *manifest, std::nullopt, {});
  if (!needs_new_slot(slot, end_of(writer)) && can_be_read(connection, config, *slot)) {
    throw daystream::Error(
        fmt::format("replication slot \"{}\" is in order: nothing to re-create", config.slot),
        "to begin a new stream all the same, use --drop-slot first");
  }
  replace_slot(connection, config, server, slot, writer, signals);
}

// Killed at any time it is gone on with:
//   1. the gap is on disk        a start finds that the slot does not exist, or is lost
//   2. the old slot is dropped   the same
//   3. the new slot is made      a start goes on from there, as nothing is promised after a gap
void replace_slot(ReplicationConnection& connection, const Config& config, const PgServer& server,
                  const std::optional<Slot>& slot, Writer& writer,
                  const daystream::program::Signals& signals) {
  // A server that is behind us is another history, not a lost slot: no gap can bridge that.
  std::optional<TimelineId> timeline;
  if (server.timeline > 1 && !writer.empty()) {
    timeline = last_timeline(config.directory, writer.position().day());
  }
  const Lsn old_end = end_of(writer);
  check_history(connection, server, config.directory, old_end, timeline);
  if (!writer.after_gap()) writer.gap(old_end);
  writer.flush();

  if (slot) drop_slot(connection, config);
  pgoutput::ShapeLog::forget(config.directory);
  const Lsn begin = create_slot(connection, config, signals);
  daystream::MarkFacts facts;
  facts.timeline = server.timeline;
  facts.next = next_transaction_id(connection.get());
  writer.mark(begin, facts);
  writer.flush();
  spdlog::warn(
      "wrote a gap from {} to {}: mirrors of \"{}\" copy their tables again, those without a "
      "connection to PostgreSQL wait for somebody to do it",
      old_end.text(), begin.text(), config.directory);
}

}  // namespace deltastream
