#include "apply/applier.h"

#include <fmt/format.h>

#include <algorithm>

#include "apply/needs_reseed.h"
#include "daystream/proven_time.h"
#include "src/calendar.h"
#include "store/last_events.h"

namespace deltamirror {

using daystream::Action;
using daystream::Change;
using daystream::Line;
using daystream::NeedsPerson;
using daystream::Transaction;

namespace {

// How often a long transaction looks whether it should stop.
constexpr std::uint64_t kLinesBetweenLooks = 4096;

// A write to each changed table's line beside every commit would be a large part of a small one.
constexpr std::int64_t kBetweenSavesUs = 1'000'000;

}  // namespace

Applier::Applier(Database& db, std::optional<daystream::Holding> holding, daystream::Stop stop,
                 const std::string& source)
    : db_(db),
      commit_(db, source),
      tables_(db, commit_),
      lines_(db, commit_, tables_, std::move(holding)),
      stop_(std::move(stop)) {}

void Applier::rebase(const MvccSnapshot& snapshot, daystream::Lsn consistent_at,
                     std::uint32_t timeline, const daystream::Seam& seam) {
  tables_.rebase(snapshot, consistent_at, timeline);
  Checkpoint& reached = commit_.reached();
  reached.position = seam.position;
  reached.lsn = seam.lsn;
  reached.timeline = timeline;
  reached.consistent_at = consistent_at;
}

void Applier::go_to(const daystream::Seam& seam, std::uint32_t timeline) {
  commit_.begin();
  moved_ = true;
  in_gap_ = false;
  Checkpoint& reached = commit_.reached();
  reached.position = seam.position;
  reached.lsn = seam.lsn;
  reached.timeline = timeline;
}

void Applier::learn(const TypeNames& types, daystream::Lsn consistent_at, std::uint32_t timeline) {
  commit_.begin();
  lines_.learn(types);
  Checkpoint& reached = commit_.reached();
  if (consistent_at <= reached.lsn) return;
  reached.consistent_at = std::max(reached.consistent_at, consistent_at);
  reached.timeline = timeline;
}

void Applier::save_changes() {
  changes_saved_us_ = daystream::now_us();
  for (const auto& followed : tables_.followed()) {
    if (!std::exchange(followed->changed, false)) continue;
    save_change(db_, tables_.source(), followed->table.shape.oid,
                {commit_.commit_time(), commit_.reached().lsn.text()});
  }
}

void Applier::settle() {
  const bool changed = std::any_of(tables_.followed().begin(), tables_.followed().end(),
                                   [](const auto& followed) { return followed->changed; });
  if (!changed || !may_commit()) return;
  commit_.begin();
  changes_saved_us_ = 0;
  commit();
}

void Applier::commit() {
  if (!pending()) return;
  if (daystream::now_us() - changes_saved_us_ >= kBetweenSavesUs) save_changes();
  commit_.commit();
}

bool Applier::apply(Transaction& transaction) {
  // The stream gives nothing twice; should it, the commit's LSN shows it.
  if (transaction.kind() == Transaction::Kind::Transaction && transaction.lsn() <= reached().lsn) {
    return true;
  }
  // What follows a gap says where the stream goes on. Until then the checkpoint stays
  // before it, so that it is met again after a restart.
  if (transaction.kind() == Transaction::Kind::Gap) {
    in_gap_ = true;
    return true;
  }
  try {
    commit_.begin();
    if (in_gap_) check_gap(transaction.lsn());
    if (!take_up(transaction)) {
      commit_.roll_back();
      return false;
    }
    commit_.take(transaction.position(), transaction.lsn());
    return true;
  } catch (...) {
    // Only to leave the file at the last commit; the error goes on.
    commit_.roll_back();
    throw;
  }
}

bool Applier::take_up(Transaction& transaction) {
  if (transaction.kind() == Transaction::Kind::Transaction) return take_transaction(transaction);
  check_timeline(transaction);
  commit_.take_complete_to(daystream::proven_time_us(transaction));
  lines_.take_mark(transaction);
  return true;
}

void Applier::check_timeline(const Transaction& mark) {
  const auto timeline = mark.end().timeline;
  if (!timeline) return;
  Checkpoint& reached = commit_.reached();
  if (reached.timeline != 0 && *timeline != reached.timeline &&
      reached.lsn < reached.consistent_at) {
    throw StreamGap(
        fmt::format("PostgreSQL went from timeline {} to {} before {}, up to which the seed saw "
                    "transactions: some of them may not exist any more",
                    reached.timeline, *timeline, reached.consistent_at.text()),
        kCopyAll);
  }
  reached.timeline = *timeline;
}

// What was seeded where the stream goes on, or later, lacks nothing of the gap.
void Applier::check_gap(daystream::Lsn goes_on) {
  const bool behind = std::any_of(
      tables_.followed().begin(), tables_.followed().end(),
      [&](const auto& followed) { return followed->table.seed.consistent_at < goes_on; });
  in_gap_ = false;
  if (!behind) return;
  throw StreamGap(
      fmt::format("the daystream lacks what PostgreSQL committed between {} and {}: the slot was "
                  "lost or made again",
                  reached().lsn.text(), goes_on.text()),
      kCopyAll);
}

bool Applier::take_transaction(Transaction& transaction) {
  const Change& end = transaction.end();
  tables_.begin_transaction(end.xid == 0 || !end.next ? 0
                                                      : daystream::widen_xid(end.xid, *end.next));
  moment_.lsn = transaction.lsn();
  moment_.time_us = end.time_us;
  if (!apply_lines(transaction)) return false;
  lines_.finish(transaction.lsn());
  ++applied_transactions_;
  commit_.take_commit_time(end.time_us);
  return true;
}

bool Applier::apply_lines(Transaction& transaction) {
  pair_ = nullptr;
  std::uint64_t lines = 0;
  for (Line line; transaction.next_line(line);) {
    if (++lines % kLinesBetweenLooks == 0 && stop_.requested()) return false;
    commit_.count_bytes(line.body.size());
    const Change change = daystream::parse_change(line.body);
    moment_.position = line.position;
    if (pair_ != nullptr && change.action != Action::Update) {
      throw daystream::ProtocolError(
          fmt::format("the line at {} should be the update that belongs to the replace before it",
                      line.position.text()));
    }
    apply_line(change);
  }
  return true;
}

void Applier::apply_line(const Change& change) {
  if (change.root != 0) lines_.take_partition(change);
  if (change.action == Action::Schema) return lines_.take_schema(change, moment_);
  if (change.action == Action::Drop) return lines_.take_drop(change, moment_);
  if (change.action == Action::Message) return;
  TrackedTable* const followed = tables_.followed().by_line_name(change.table);
  if (followed == nullptr || tables_.skips(*followed)) return;
  pair_ = nullptr;
  if (!try_rows(*followed, change)) return;
  const bool open =
      followed->plan ? followed->plan->replace_open() : followed->history->replace_open();
  pair_ = open ? followed : nullptr;
  commit_.count_change();
  ++applied_changes_;
}

// False: the table cannot be followed through it, and has left.
bool Applier::try_rows(TrackedTable& followed, const Change& change) {
  const auto give_up = [&](const std::string& what, const std::string& hint) {
    tables_.leave(followed, {.state = TableState::Copying,
                             .reason = fmt::format("{}{}{}, {})", what, kAtTransaction,
                                                   moment_.lsn.text(), moment_.position.text()),
                             .hint = hint});
    return false;
  };
  try {
    change_rows(followed, change);
    return true;
  } catch (const SqliteError& e) {
    if (!e.is_of_statement()) throw;
    return give_up(e.what(), NeedsReseed::kCopyIt);
  } catch (const NeedsPerson& e) {
    return give_up(e.what(), e.hint());
  } catch (const daystream::ProtocolError& e) {
    return give_up(e.what(), NeedsReseed::kCopyIt);
  }
}

void Applier::change_rows(TrackedTable& followed, const Change& change) {
  followed.changed = true;
  if (followed.history) return followed.history->apply(change, moment_);
  const bool empties = change.action == Action::Rewrite || change.action == Action::Truncate;
  // What is here is not what the line's old row says, and is replaced as a whole: by the rows that
  // come after a rewrite, or by a copy.
  if (followed.needs_rewrite && !empties) return;
  followed.plan->apply(change);
  if (empties) followed.needs_rewrite = false;
}

}  // namespace deltamirror
