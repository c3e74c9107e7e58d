#include "apply/catch_up.h"

#include <fmt/format.h>

#include "apply/asked_tables.h"
#include "apply/holding.h"
#include "apply/needs_reseed.h"
#include "model/meaning.h"

namespace deltamirror {

using daystream::Action;
using daystream::Change;
using daystream::Line;
using daystream::Transaction;
using std::chrono::steady_clock;

namespace {

// A look at the clock costs little beside so many lines.
constexpr int kLinesBetweenClocks = 64;

}  // namespace

CatchUp::CatchUp(Database& db, const daystream::Stream& daystream, const daystream::Seam& seam,
                 MvccSnapshot snapshot)
    : db_(db),
      daystream_(daystream),
      seam_(seam),
      snapshot_(std::move(snapshot)),
      reached_(seam.position) {}

// A server is asked for these tables only: any change of their names throws ShapeChanged.
daystream::Reader CatchUp::open() const {
  AskedTables asked;
  for (const auto& [line_name, fed] : by_line_name_) asked.add(daystream::unescape(line_name));
  return {daystream_, {seam_.position, seam_.lsn, asked.list()}};
}

void CatchUp::add(const MirroredTable& table) {
  if (table.is_static()) return;
  const auto plan = std::make_shared<TablePlan>(db_, table);
  add(table, [plan](const Change& change) { plan->apply(change); });
}

void CatchUp::add(const MirroredTable& table, Take take) {
  by_line_name_.emplace(table.shape.line_name, Fed{&table, std::move(take)});
}

bool CatchUp::is_ours(const Transaction& transaction) const {
  if (transaction.kind() != Transaction::Kind::Transaction) return false;
  const Change& end = transaction.end();
  if (end.xid == 0 || !end.next) return true;
  return !snapshot_.sees(daystream::widen_xid(end.xid, *end.next));
}

bool CatchUp::step(const Checkpoint& at, steady_clock::time_point deadline) {
  if (!reader_) reader_.emplace(open());
  while (open_ != nullptr || reached_ < at.position) {
    if (open_ == nullptr && !take_next(at)) {
      // Nothing more up to `at`; or a server that was lost, or is behind the one the mirror reads.
      if (ahead_ != nullptr || reader_->lsn() >= at.lsn) return true;
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock::now());
      if (left.count() <= 0 || !reader_->wait(left)) return false;
    }
    if (open_ != nullptr && !go_on(deadline)) return false;
    if (steady_clock::now() >= deadline) return open_ == nullptr && reached_ >= at.position;
  }
  return true;
}

// False: there is nothing, or nothing that is not after `at`. (A commit that has none of our
// tables' lines may have been left out, that of `at` too.)
bool CatchUp::take_next(const Checkpoint& at) {
  Transaction* const next = ahead_ != nullptr ? ahead_ : reader_->next();
  ahead_ = nullptr;
  if (next == nullptr) return false;
  if (next->position() > at.position) {
    ahead_ = next;
    return false;
  }
  if (next->kind() == Transaction::Kind::Gap) {
    throw ShapeChanged("the daystream has a gap after the snapshot");
  }
  if (next->kind() == Transaction::Kind::Mark) check_held(*next);
  if (is_ours(*next)) {
    open_ = next;
  } else {
    reached_ = next->position();
  }
  return true;
}

// Whoever goes on behind the copy has not heard of a mark before.
void CatchUp::check_held(const Transaction& mark) const {
  const auto holding = daystream::Holding::of_mark(mark.end().columns);
  if (!holding) return;
  for (const auto& [line_name, fed] : by_line_name_) {
    const auto not_held = why_not_held(*holding, line_name, fed.table->partitions.kind);
    if (not_held) {
      throw ShapeChanged(fmt::format("the daystream does not hold table {} any more: {}", line_name,
                                     not_held->why));
    }
  }
}

bool CatchUp::go_on(steady_clock::time_point deadline) {
  int lines = 0;
  for (Line line; open_->next_line(line);) {
    apply(daystream::parse_change(line.body));
    if (++lines % kLinesBetweenClocks == 0 && steady_clock::now() >= deadline) return false;
  }
  reached_ = open_->position();
  open_ = nullptr;
  return true;
}

void CatchUp::apply(const Change& change) {
  if (change.action == Action::Message) return;
  if (change.root != 0) {
    for (const auto& [name, fed] : by_line_name_) {
      if (fed.table->shape.oid != change.root) continue;
      throw ShapeChanged(fmt::format("partition {} of {} came, went or was emptied as a whole",
                                     change.table, name));
    }
  }
  if (change.action == Action::Drop) {
    for (const auto& [name, fed] : by_line_name_) {
      if (fed.table->shape.oid == change.oid) throw ShapeChanged(name + " was dropped");
    }
    return;
  }
  if (change.action == Action::Schema) {
    for (const auto& [name, fed] : by_line_name_) {
      const bool same_table = fed.table->shape.oid == change.oid;
      if (!same_table && name != change.table) continue;
      if (!same_table) throw ShapeChanged(name + " is another table now");
      const SchemaLine now = parse_schema(change);
      const std::string changed =
          other_meaning(fed.table->shape, fed.table->facts, now.shape, now.facts);
      if (!changed.empty()) {
        throw ShapeChanged(fmt::format("{}: {}", name, changed));
      }
      if (now.shape == fed.table->shape) continue;
      throw ShapeChanged(fmt::format("{}: {}", name, difference(fed.table->shape, now.shape)));
    }
    return;
  }
  const auto found = by_line_name_.find(std::string(change.table));
  if (found == by_line_name_.end()) return;
  try {
    found->second.take(change);
  } catch (const NeedsReseed& e) {
    throw ShapeChanged(e.what());
  }
}

}  // namespace deltamirror
