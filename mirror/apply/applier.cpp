#include "apply/applier.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "apply/holding.h"
#include "apply/needs_reseed.h"
#include "daystream/proven_time.h"
#include "history/history_tables.h"
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

const std::string kSeedAgain =
    "seed the mirror again: remove its files and run \"deltamirror seed\"";

}  // namespace

Applier::Applier(Database& db, std::optional<daystream::Holding> holding,
                 std::function<bool()> stop_requested, const std::string& source)
    : db_(db),
      source_(load_checkpoint(db, source).source),
      checkpoints_(db),
      holding_(std::move(holding)),
      stop_requested_(std::move(stop_requested)),
      types_(load_types(db, source_)),
      committed_(load_checkpoint(db, source_)),
      reached_(committed_) {
  for (MirroredTable& table : load_tables_of(db, source_)) {
    if (table.is_static()) continue;
    if (!table.is_followed()) {
      absent_.push_back(std::move(table));
      continue;
    }
    auto followed = std::make_unique<TrackedTable>();
    followed->table = std::move(table);
    make_plan(*followed);
    tables_.add(std::move(followed));
  }
}

Applier::~Applier() = default;

void Applier::make_plan(TrackedTable& followed) {
  if (followed.table.mode != TableMode::Mirror) {
    followed.history = make_history_writer(db_, followed.table);
    return;
  }
  followed.plan = std::make_unique<TablePlan>(
      db_, followed.table, limit_ ? TablePlan::Strictness::Lenient : TablePlan::Strictness::Strict);
}

void Applier::compare_with(const Snapshot& snapshot) {
  begin();
  limit_ = snapshot;
  for (const auto& followed : tables_) make_plan(*followed);
}

void Applier::rebase(const Snapshot& snapshot, daystream::Lsn consistent_at, std::uint32_t timeline,
                     const daystream::Seam& seam) {
  begin();
  for (const auto& followed : tables_) {
    MirroredTable& table = followed->table;
    table.snapshot = snapshot;
    table.consistent_at = consistent_at;
    table.timeline = timeline;
    save_table(db_, table);
  }
  reached_.position = seam.position;
  reached_.lsn = seam.lsn;
  reached_.timeline = timeline;
  reached_.consistent_at = consistent_at;
}

const MirroredTable* Applier::table(std::uint32_t oid) {
  const TrackedTable* followed = tables_.by_oid(oid);
  return followed == nullptr ? nullptr : &followed->table;
}

void Applier::begin() {
  if (open_ != nullptr) return;
  open_ = std::make_unique<WriteTransaction>(db_);
}

void Applier::roll_back() noexcept {
  open_.reset();
  reached_ = committed_;
  commit_time_us_ = 0;
  complete_to_us_ = 0;
  pending_changes_ = 0;
  pending_bytes_ = 0;
}

void Applier::save_changes(std::int64_t now) {
  changes_saved_us_ = now;
  for (const auto& followed : tables_) {
    if (!std::exchange(followed->changed, false)) continue;
    save_change(db_, source_, followed->table.shape.oid,
                {reached_.commit_time, reached_.lsn.text()});
  }
}

void Applier::settle() {
  const bool changed = std::any_of(tables_.begin(), tables_.end(),
                                   [](const auto& followed) { return followed->changed; });
  if (!changed || !may_commit()) return;
  begin();
  changes_saved_us_ = 0;
  commit();
}

void Applier::commit() {
  if (open_ == nullptr) return;
  if (commit_time_us_ != 0) reached_.commit_time = utc_text(commit_time_us_);
  if (complete_to_us_ != 0) {
    reached_.complete_to = std::max(reached_.complete_to, utc_text(complete_to_us_));
  }
  const std::int64_t now = now_us();
  reached_.applied_at = utc_text(now);
  checkpoints_.save(reached_);
  if (now - changes_saved_us_ >= kBetweenSavesUs) save_changes(now);
  open_->commit();
  open_.reset();
  committed_ = reached_;
  pending_changes_ = 0;
  pending_bytes_ = 0;
}

bool Applier::apply(Transaction& transaction) {
  // The stream gives nothing twice; should it, the commit's LSN tells.
  if (transaction.kind() == Transaction::Kind::Transaction && transaction.lsn() <= reached_.lsn) {
    return true;
  }
  // Where the stream goes on after a gap, what follows it tells. Until then the checkpoint stays
  // before it, so that it is met again after a restart.
  if (transaction.kind() == Transaction::Kind::Gap) {
    in_gap_ = true;
    return true;
  }
  try {
    begin();
    if (in_gap_) check_gap(transaction.lsn());
    switch (transaction.kind()) {
      case Transaction::Kind::Gap:
        break;
      case Transaction::Kind::Mark:
        take_mark(transaction);
        break;
      case Transaction::Kind::Transaction: {
        const Change& end = transaction.end();
        const std::uint64_t xid =
            end.xid == 0 || !end.next ? 0 : daystream::widen_xid(end.xid, *end.next);
        if (!apply_lines(transaction, xid)) {
          roll_back();
          return false;
        }
        ++applied_transactions_;
        if (end.time_us != 0) commit_time_us_ = end.time_us;
        complete_to_us_ = std::max(complete_to_us_, end.time_us);
        break;
      }
    }
    reached_.position = transaction.position();
    if (transaction.lsn() > reached_.lsn) reached_.lsn = transaction.lsn();
    return true;
  } catch (...) {
    // Only to leave the file at the last commit; the error goes on.
    roll_back();
    throw;
  }
}

void Applier::take_mark(const Transaction& mark) {
  const Change& facts = mark.end();
  if (facts.timeline && reached_.timeline != 0 && *facts.timeline != reached_.timeline &&
      reached_.lsn < reached_.consistent_at) {
    throw NeedsPerson(
        fmt::format("PostgreSQL went from timeline {} to {} before {}, up to which the seed saw "
                    "transactions: some of them may not exist any more",
                    reached_.timeline, *facts.timeline, reached_.consistent_at.text()),
        kSeedAgain);
  }
  if (facts.timeline) reached_.timeline = *facts.timeline;
  complete_to_us_ = std::max(complete_to_us_, daystream::proven_time_us(mark));

  // A connection's first mark says what the stream holds from here on.
  daystream::Holding holding;
  bool says = false;
  std::string_view key;
  std::string_view value;
  for (daystream::FieldCursor fields{facts.columns}; fields.next(key, value);) {
    says = true;
    if (key == "tables") {
      holding.tables = daystream::unescape(value);
    } else {
      holding.options.emplace_back(daystream::unescape(key), daystream::unescape(value));
    }
  }
  if (!says) return;
  const bool same =
      holding_ && holding_->tables == holding.tables && holding_->options == holding.options;
  holding_ = std::move(holding);
  take_holdings(mark.position());
  if (same) return;
  // What the stream has left out may be there again.
  for (MirroredTable& table : absent_) {
    if (table.state != TableState::Waiting) continue;
    deltamirror::set_absence(db_, table, {.state = TableState::Copying, .reason = {}, .hint = {}});
  }
}

// What was seeded where the stream goes on, or later, lacks nothing of the gap.
void Applier::check_gap(daystream::Lsn goes_on) {
  const bool behind = std::any_of(tables_.begin(), tables_.end(), [&](const auto& followed) {
    return followed->table.consistent_at < goes_on;
  });
  in_gap_ = false;
  if (!behind) return;
  throw StreamGap(
      fmt::format("the daystream lacks what PostgreSQL committed between {} and {}: the slot was "
                  "lost or made anew",
                  reached_.lsn.text(), goes_on.text()),
      "give \"run\" a -d CONNINFO, with which it copies its tables by itself");
}

void Applier::take_holdings(daystream::Position position) {
  std::vector<TrackedTable*> all;
  for (const auto& followed : tables_) all.push_back(followed.get());
  for (TrackedTable* const followed : all) take_holding(*followed, position);
}

// True: the stream does not hold it, and it is waited for.
bool Applier::take_holding(TrackedTable& followed, daystream::Position position) {
  if (!holding_) return false;
  const auto not_held =
      why_not_held(*holding_, followed.table.shape.line_name, followed.table.partitioning);
  if (!not_held) return false;
  leave(followed,
        {.state = TableState::Waiting,
         .reason = fmt::format("from {} on the daystream does not hold table {}: {}",
                               position.text(), followed.table.source_table, not_held->why),
         .hint = not_held->hint});
  return true;
}

void Applier::leave(TrackedTable& followed, const Absence& absence, Leave why) {
  const MirroredTable& table = followed.table;
  const bool keeps = on_trouble_ == OnTrouble::Keep && table.mode == TableMode::Mirror;
  if (limit_ || (why == Leave::Trouble && (keeps || on_trouble_ == OnTrouble::Stop))) {
    throw NeedsReseed(absence.reason, table.shape.oid, table.shape.line_name, absence.hint);
  }
  spdlog::warn("table {}: {}{}", table.name, absence.reason,
               table.mode == TableMode::Mirror ? "; readers do not find it until it is back" : "");
  begin();
  const QualifiedName name = name_now(table);
  // Whom else the name is wished of has to look what is behind it now.
  if (why == Leave::Trouble && name != table.wished) freed_.push_back(name);
  MirroredTable absent = std::move(tables_.remove(followed)->table);
  take_out(db_, absent, absence, OnTrouble::Hide);
  absent_.push_back(std::move(absent));
  ++pending_changes_;
}

// What is to be known once per table and transaction.
void Applier::enter(TrackedTable& followed, std::uint64_t xid) {
  if (followed.generation == generation_) return;
  followed.generation = generation_;
  followed.skip = xid != 0 && (followed.table.snapshot.sees(xid) || (limit_ && !limit_->sees(xid)));
}

bool Applier::apply_lines(Transaction& transaction, std::uint64_t xid) {
  ++generation_;
  renamed_ = false;
  freed_.clear();
  moment_.lsn = transaction.lsn();
  moment_.time_us = transaction.end().time_us;
  std::uint64_t lines = 0;
  TrackedTable* pair = nullptr;  // whose `replace` waits for its update
  for (Line line; transaction.next_line(line);) {
    if (++lines % kLinesBetweenLooks == 0 && stop_requested_()) return false;
    pending_bytes_ += line.body.size();
    const Change change = daystream::parse_change(line.body);
    moment_.position = line.position;
    if (pair != nullptr && change.action != Action::Update) {
      throw daystream::ProtocolError(
          fmt::format("the line at {} should be the update that belongs to the replace before it",
                      line.position.text()));
    }
    if (change.root != 0) check_root(change, xid);
    if (change.action == Action::Schema) {
      apply_schema(change, xid);
      continue;
    }
    if (change.action == Action::Drop) {
      apply_drop(change, xid);
      continue;
    }
    if (change.action == Action::Message) continue;
    TrackedTable* followed = tables_.by_line_name(change.table);
    if (followed == nullptr) continue;
    enter(*followed, xid);
    if (followed->skip) continue;
    pair = nullptr;
    if (!try_line(*followed, change, transaction, line.position)) continue;
    const bool open =
        followed->plan ? followed->plan->replace_open() : followed->history->replace_open();
    pair = open ? followed : nullptr;
    ++pending_changes_;
    ++applied_changes_;
  }
  finish_shapes(transaction);
  return true;
}

// False: the table cannot be followed through it, and has left.
bool Applier::try_line(TrackedTable& followed, const Change& change, const Transaction& transaction,
                       daystream::Position position) {
  const auto give_up = [&](const std::string& what, const std::string& hint) {
    leave(followed, {.state = TableState::Copying,
                     .reason = fmt::format("{} (transaction at {}, {})", what,
                                           transaction.lsn().text(), position.text()),
                     .hint = hint});
    return false;
  };
  try {
    apply_line(followed, change);
    return true;
  } catch (const SqliteError& e) {
    // What is wrong with the file or the disk is not the table's.
    const int code = e.code() & 0xff;
    if (code != SQLITE_ERROR && code != SQLITE_CONSTRAINT && code != SQLITE_TOOBIG) throw;
    return give_up(e.what(), NeedsReseed::kCopyIt);
  } catch (const NeedsPerson& e) {
    return give_up(e.what(), e.hint());
  } catch (const daystream::ProtocolError& e) {
    return give_up(e.what(), NeedsReseed::kCopyIt);
  }
}

void Applier::apply_line(TrackedTable& followed, const Change& change) {
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
