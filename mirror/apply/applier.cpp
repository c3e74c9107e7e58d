#include "apply/applier.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "apply/holding.h"
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
    auto followed = std::make_unique<Followed>();
    followed->table = std::move(table);
    make_plan(*followed);
    by_name_.emplace(followed->table.shape.line_name, followed.get());
    tables_.push_back(std::move(followed));
  }
}

Applier::~Applier() = default;

void Applier::make_plan(Followed& followed) {
  if (followed.table.mode != TableMode::Mirror) {
    followed.history = make_history_writer(db_, followed.table);
    return;
  }
  followed.plan = std::make_unique<TablePlan>(
      db_, followed.table, limit_ ? TablePlan::Strictness::Lenient : TablePlan::Strictness::Strict);
}

void Applier::drop_plan(Followed& followed) noexcept {
  followed.plan.reset();
  followed.history.reset();
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
  const Followed* followed = by_oid(oid);
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
  try {
    begin();
    switch (transaction.kind()) {
      case Transaction::Kind::Gap:
        throw NeedsPerson(
            fmt::format("the daystream has a gap after {}: the slot was lost or made anew at {}, "
                        "and changes in between are missing",
                        reached_.position.text(), transaction.lsn().text()),
            kSeedAgain);
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
  holding_ = std::move(holding);
  for (const auto& followed : tables_) check_held(*followed, mark.position());
}

void Applier::check_held(const Followed& followed, daystream::Position position) const {
  if (!holding_) return;
  const auto not_held =
      why_not_held(*holding_, followed.table.shape.line_name, followed.table.partitioning);
  if (!not_held) return;
  throw NeedsPerson(fmt::format("from {} on the daystream does not hold table {}: {}",
                                position.text(), followed.table.source_table, not_held->why),
                    not_held->hint + "; then seed the mirror again");
}

Applier::Followed* Applier::by_line_name(std::string_view raw) {
  if (raw == last_name_) return last_;
  const auto found = by_name_.find(raw);
  last_name_ = raw;
  last_ = found == by_name_.end() ? nullptr : found->second;
  return last_;
}

Applier::Followed* Applier::by_oid(std::uint32_t oid) {
  for (const auto& followed : tables_) {
    if (followed->table.shape.oid == oid) return followed.get();
  }
  return nullptr;
}

// What is to be known once per table and transaction.
void Applier::enter(Followed& followed, std::uint64_t xid) {
  if (followed.generation == generation_) return;
  followed.generation = generation_;
  followed.skip = xid != 0 && (followed.table.snapshot.sees(xid) || (limit_ && !limit_->sees(xid)));
}

bool Applier::apply_lines(Transaction& transaction, std::uint64_t xid) {
  ++generation_;
  left_names_.clear();
  moment_.lsn = transaction.lsn();
  moment_.time_us = transaction.end().time_us;
  std::uint64_t lines = 0;
  Followed* pair = nullptr;  // whose `replace` waits for its update
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
    Followed* followed = by_line_name(change.table);
    if (followed == nullptr) continue;
    enter(*followed, xid);
    if (followed->skip) continue;
    try {
      apply_line(*followed, change);
    } catch (const Diverged& e) {
      throw Diverged(fmt::format("{} (transaction {} at {}, {})", e.what(), xid,
                                 transaction.lsn().text(), line.position.text()),
                     e.hint());
    }
    const bool open =
        followed->plan ? followed->plan->replace_open() : followed->history->replace_open();
    pair = open ? followed : nullptr;
    ++pending_changes_;
    ++applied_changes_;
  }
  finish_shapes(transaction);
  return true;
}

void Applier::apply_line(Followed& followed, const Change& change) {
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
