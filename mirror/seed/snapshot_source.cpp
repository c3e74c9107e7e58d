#include "seed/snapshot_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "apply/needs_reseed.h"
#include "apply/same_source.h"
#include "daystream/reader.h"
#include "remote/fetch.h"
#include "seed/requests.h"
#include "snapshot/from_snapshot.h"
#include "store/absent_table.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"
#include "store/shared_table.h"

namespace deltamirror {

using daystream::Error;

namespace {

constexpr std::size_t kBatchBytes = 256 << 10;

// Where the snapshot is in our source. Throws where that brings the mirror no further.
Checkpoint place_of(const Database& snapshot, const Checkpoint& ours,
                    const LiveSeedRequest& request) {
  const daystream::Stream& daystream = request.daystream;
  Checkpoint at = load_checkpoint(snapshot, ours.source);
  daystream::require_same_source("the snapshot", at.identity(), "the mirror", ours.identity(),
                                 "put snapshots of mirrors of this stream there");
  if (at.position < request.newer_than) {
    throw Error(fmt::format("it is at {}, and of no tables as they are since {}",
                            at.position.text(), request.newer_than.text()),
                kTakeAnother);
  }
  if (request.from_its_seam && at.position <= ours.position) {
    throw Error(fmt::format("it is at {}, and the mirror is at {} already", at.position.text(),
                            ours.position.text()),
                kTakeAnother);
  }
  if (at.lsn < at.consistent_at) {
    throw Error("it is as its seed saw PostgreSQL, and not at a commit yet", kTakeAnother);
  }
  const auto extent = daystream.extent();
  if (!extent || at.position > extent->last || at.lsn > extent->last_lsn) {
    throw StreamBehind(
        fmt::format("the snapshot is at {}, which daystream \"{}\" does not have yet",
                    at.position.text(), daystream.address()),
        "a copy that is behind comes by itself");
  }
  // Throws where that place is none of the stream, or what follows it is gone.
  const daystream::Reader reader(daystream, {at.position, at.lsn});
  return at;
}

// Why the snapshot's table cannot take the place of ours; nullopt: it can.
std::optional<Absence> why_not(const Database& mirror, const MirroredTable& ours,
                               const MirroredTable* theirs) {
  const auto parked = [](const char* reason) {
    return Absence{.state = TableState::Parked, .reason = reason, .hint = NeedsReseed::kCopyIt};
  };
  if (theirs == nullptr || !same_definition(wish_of(*theirs), wish_of(ours))) {
    return parked("the snapshot that it was to come from does not have it as it is wished");
  }
  if (theirs->standing.state == TableState::Waiting) {
    return Absence{.state = TableState::Waiting,
                   .reason = "it was not there for the snapshot that it was to come from",
                   .hint = {}};
  }
  if (!theirs->is_followed()) {
    return parked("it was not followed in the snapshot that it was to come from");
  }
  if (ours.mode != TableMode::Mirror) return parked("a history cannot go on from a snapshot");
  // The name is somebody's text, and what is there under it would go.
  const bool may_be_called = theirs->name == ours.name || theirs->name == ours.wish.name ||
                             is_free_name(mirror, theirs->name);
  if (!may_be_called) return parked("in the snapshot it has the name of something else here");
  return std::nullopt;
}

// What the snapshot says of its rows, and what we say of the table.
MirroredTable joined_of(const MirroredTable& ours, MirroredTable theirs) {
  theirs.indexes = ours.indexes;
  theirs.kept.days = ours.kept.days;
  theirs.wish = ours.wish;
  theirs.standing = {};
  theirs.seed.rows = 0;  // they are counted as they come
  return theirs;
}

LiveSnapshot look_into(const Database& snapshot, const LiveSeedRequest& request) {
  const Database mirror = open_for_reading(request.mirror);
  const Checkpoint ours = load_checkpoint(mirror, request.source);
  const Checkpoint at = place_of(snapshot, ours, request);
  const std::vector<MirroredTable> own = load_tables_of(mirror, request.source);
  const std::vector<MirroredTable> other = load_tables_of(snapshot, request.source);
  LiveSnapshot out;
  for (const TableRequest& wanted : request.tables) {
    const std::string name = name_for(wanted);
    const MirroredTable* const table = wished_as(own, name);
    if (table == nullptr) continue;  // removed meanwhile
    const MirroredTable* const theirs = wished_as(other, name);
    if (const auto absence = why_not(mirror, *table, theirs)) {
      out.problems.push_back({.name = table->name, .absence = *absence});
    } else {
      SeedTable& seeded = out.tables.emplace_back();
      seeded.request = wanted;
      seeded.mirrored = joined_of(*table, *theirs);
    }
  }
  out.server = {at.system_identifier, at.database, at.timeline};
  out.consistent_at = at.lsn;
  out.taken_us = (at.position.c + 1) * 1'000'000;
  out.seam = {.position = at.position, .lsn = at.lsn, .next = 0};
  out.types = load_types(snapshot, request.source);
  return out;
}

void hand_rows(LiveSource& to, const Database& snapshot, const MirroredTable& table,
               std::size_t number) {
  const std::size_t columns = table.columns.size();
  RowBatch batch(columns);
  const auto hand_over = [&] {
    to.hand_over(LiveRows{.table = number, .rows = std::exchange(batch, RowBatch(columns))});
  };
  Statement select = snapshot.prepare(fmt::format("SELECT {} FROM {}{}", column_list(table),
                                                  quote_name(table.name), where_own(table)));
  while (select.step()) {
    for (std::size_t c = 0; c < columns; ++c) {
      const Value value = value_of(sqlite3_column_value(select.raw(), static_cast<int>(c)));
      batch.add(value, batch.keep(value.bytes));
    }
    if (batch.size_bytes() >= kBatchBytes) hand_over();
  }
  if (batch.rows() > 0) hand_over();
}

// That the server offers none, or not to us, leaves what is wrong with the mirror to be said.
Database open_newer(const LiveSource& to, const LiveSeedRequest& request) {
  try {
    return request.from->open(request.known_snapshot, to.stop());
  } catch (const daystream::remote::NoSnapshot&) {
    throw;
  } catch (const Error& e) {
    const bool is_here = !request.from->id().empty();
    if (is_here || request.why.empty() || e.exit_code() != daystream::ExitCode::NeedsPerson) throw;
    throw daystream::NeedsPerson(
        fmt::format("{}; and no snapshot can be had: {}", request.why, e.what()), request.help);
  }
}

void take_over(LiveSource& to, const LiveSeedRequest& request) {
  try {
    const Database snapshot = open_newer(to, request);
    LiveSnapshot facts = look_into(snapshot, request);
    const std::vector<SeedTable> tables = facts.tables;
    to.hand_over(std::move(facts));
    for (std::size_t i = 0; i < tables.size(); ++i) {
      hand_rows(to, snapshot, tables[i].mirrored, i);
    }
  } catch (const Error& e) {
    if (e.retryable() || to.stop().requested() || request.from->id().empty()) throw;
    throw UnfitSnapshot(fmt::format("{} is of no use: {}", request.from->name(), e.what()),
                        e.hint());
  }
  to.hand_over(LiveEnd{});
}

}  // namespace

std::unique_ptr<LiveSource> start_taking_over(const LiveSeedRequest& request) {
  return std::make_unique<LiveSource>([request](LiveSource& to) { take_over(to, request); });
}

}  // namespace deltamirror
