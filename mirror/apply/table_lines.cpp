#include "apply/table_lines.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "apply/asked_tables.h"
#include "apply/holding.h"
#include "apply/needs_reseed.h"
#include "apply/partition_rows.h"
#include "history/history_tables.h"
#include "model/meaning.h"
#include "program/figures.h"
#include "store/shared_table.h"

namespace deltamirror {

using daystream::Action;
using daystream::Change;
using daystream::NeedsPerson;
using daystream::Transaction;

TableLines::TableLines(Database& db, MirrorCommit& commit, TableStates& tables,
                       std::optional<daystream::Holding> holding)
    : db_(db),
      commit_(commit),
      tables_(tables),
      names_(db, tables),
      holding_(std::move(holding)),
      types_(load_types(db, tables.source())) {}

void TableLines::learn(const TypeNames& types) {
  types_ = types;
  save_types(db_, tables_.source(), types);
}

void TableLines::check_policy(const TrackedTable& followed, const std::string& what) const {
  if (shape_policy_ == ShapePolicy::Follow || tables_.compares()) return;
  throw NeedsPerson(fmt::format("table {} changes its shape after {}: {}",
                                followed.table.source_table, commit_.reached().lsn.text(), what),
                    "this mirror stops at that: run it with --shape-changes follow to go on");
}

void TableLines::check_asked(const std::string& line_name) const {
  if (asked_.empty()) return;
  const std::string name = daystream::unescape(line_name);
  if (!daystream::table_list_matches(asked_, name)) throw TableNotAsked(name);
}

void TableLines::check_asked() const {
  for (const auto& followed : tables_.followed()) check_asked(followed->table.shape.line_name);
}

// A connection's first mark says what the stream holds from here on.
void TableLines::take_mark(const Transaction& mark) {
  auto holding = daystream::Holding::of_mark(mark.end().columns);
  if (!holding) return;
  if (holding_ && holding_->same_filter(*holding)) {
    holding_ = std::move(holding);
    return check_held(mark.position());
  }
  const auto before = std::exchange(holding_, std::move(holding));
  // What the stream has left out may be there again.
  for (MirroredTable& table : tables_.absent()) {
    const std::string& name = table.shape.line_name;
    const Partitioning kind = table.partitions.kind;
    const bool is_held = name.empty() || !why_not_held(*holding_, name, kind);
    const bool was_held = name.empty() || !before || !why_not_held(*before, name, kind);
    const TableState state = table.standing.state;
    const bool waits = state == TableState::Waiting || (state == TableState::Parked && !was_held);
    if (!is_held || !waits) continue;
    set_absence(db_, table, {.state = TableState::Copying, .reason = {}, .hint = {}});
  }
  check_held(mark.position());
}

void TableLines::check_held(daystream::Position position) {
  std::vector<TrackedTable*> all;
  for (const auto& followed : tables_.followed()) all.push_back(followed.get());
  for (TrackedTable* const followed : all) take_holding(*followed, position);
}

bool TableLines::take_holding(TrackedTable& followed) {
  return take_holding(followed, commit_.reached().position);
}

// True: the stream does not hold it, and it is waited for.
bool TableLines::take_holding(TrackedTable& followed, daystream::Position position) {
  if (!holding_) return false;
  const auto not_held =
      why_not_held(*holding_, followed.table.shape.line_name, followed.table.partitions.kind);
  if (!not_held) return false;
  tables_.leave(followed,
                {.state = TableState::Waiting,
                 .reason = fmt::format("from {} on the daystream does not hold table {}: {}",
                                       position.text(), followed.table.source_table, not_held->why),
                 .hint = not_held->hint});
  return true;
}

// A partition with rows came to or left a table that we follow as one, or all of its rows did:
// no line says which of our rows they are.
void TableLines::take_partition(const Change& change) {
  TrackedTable* root = tables_.followed().by_oid(change.root);
  if (root == nullptr) {
    // It may be one of those that could not be copied for what their partitions were.
    for (MirroredTable& table : tables_.absent()) {
      const TableStanding& standing = table.standing;
      if (standing.state == TableState::Parked) tables_.look_again(table, standing.reason);
    }
    return;
  }
  if (tables_.skips(*root)) return;
  if (change.action == Action::Drop && take_rows_of(*root, change)) return;
  const std::string what = change.action == Action::Schema    ? "attached"
                           : change.action == Action::Drop    ? "detached or dropped"
                           : change.action == Action::Rewrite ? "rewritten"
                                                              : "truncated";
  // A server does not name tables that we may not read.
  const std::string partition =
      change.table.empty() ? "a partition" : fmt::format("partition {}", change.table);
  tables_.leave(*root, {.state = TableState::Copying,
                        .reason = fmt::format("{} of table {} was {}", partition,
                                              root->table.source_table, what),
                        .hint = NeedsReseed::kCopyIt});
}

// It was detached or dropped. False: which rows it had is not known.
bool TableLines::take_rows_of(TrackedTable& root, const Change& partition) {
  const auto erased = erase_partition(db_, root.table, partition.oid, types_);
  if (!erased) return false;
  spdlog::info("table {}: partition {} was detached or dropped, {} went with it",
               shown_name(root.table), partition.table,
               daystream::program::counted(*erased, "row"));
  root.changed = true;
  commit_.count_change();
  return true;
}

void TableLines::take_schema(const Change& change, const LineMoment& moment) {
  TrackedTable* followed = tables_.followed().by_oid(change.oid);
  if (followed == nullptr) return names_.take_namesake(change);
  if (tables_.skips(*followed)) return;
  const SchemaLine line = parse_schema(change);
  MirroredTable& table = followed->table;
  const bool was_alone = table.partitions.kind == Partitioning::None;
  if (take_partitioning(*followed, change.root != 0)) return;
  if (was_alone && change.root != 0 && leave_its_name(*followed, change)) return;
  if (line.shape == table.shape && line.facts == table.facts) return;
  if (types_.take(line.facts)) save_types(db_, tables_.source(), types_);
  check_asked(line.shape.line_name);
  tell_change(*followed, line);
  take_change(*followed, line, moment);
}

// Says what has changed, and throws where the policy is to end at that.
void TableLines::tell_change(const TrackedTable& followed, const SchemaLine& line) const {
  const MirroredTable& table = followed.table;
  std::string what = difference(table.shape, line.shape);
  if (what.empty()) what = other_meaning(table.shape, table.facts, line.shape, line.facts);
  if (!what.empty()) spdlog::info("table {}: {}", table.source_table, what);
  if (!what.empty() || line.shape != table.shape) {
    check_policy(followed, what.empty() ? "its schema" : what);
  }
}

void TableLines::take_change(TrackedTable& followed, const SchemaLine& line,
                             const LineMoment& moment) {
  MirroredTable& table = followed.table;
  // What was said of partitions names columns as they were.
  if (line.shape.columns != table.shape.columns) table.partitions.rows.clear();
  followed.drop_plan();
  const std::string old_line_name = table.shape.line_name;
  Reshaped result;
  const bool reshaped = can(followed, line, [&] {
    result = reshape_table(followed, line);
    if (table.mode == TableMode::Mirror) check_identity(table);
  });
  if (!reshaped) return;
  const bool renamed = old_line_name != line.shape.line_name;
  if (renamed) {
    names_.take_rename(followed, old_line_name);
    if (take_holding(followed)) return;
  }
  can(followed, line, [&] {
    if (renamed) names_.give_way(followed);
    save_table(db_, table);
    tables_.make_plan(followed);
    if (!result.carried.empty()) followed.history->carry(result.carried, moment);
    commit_.count_change();
  });
}

// False: the table cannot be followed through this line, and has left. Half of `act` may be done:
// what is left of the table is taken out with it.
bool TableLines::can(TrackedTable& followed, const SchemaLine& line,
                     const std::function<void()>& act) {
  const auto give_up = [&](const std::string& why, const std::string& hint) {
    followed.table.shape.line_name = line.shape.line_name;
    tables_.leave(followed, {.state = TableState::Copying, .reason = why, .hint = hint});
  };
  try {
    act();
    return true;
  } catch (const NeedsPerson& e) {
    give_up(e.what(), e.hint());
  } catch (const SqliteError& e) {
    if (!e.is_of_statement()) throw;
    give_up(e.what(), NeedsReseed::kCopyIt);
  }
  return false;
}

Reshaped TableLines::reshape_table(TrackedTable& followed, const SchemaLine& line) {
  MirroredTable& table = followed.table;
  Reshaped reshaped = take_shape(table, line);
  table.facts = line.facts;
  if (reshaped.needs_rewrite) {
    followed.needs_rewrite = true;
    followed.meaning = reshaped.meaning;
  }
  if (!reshaped.notice.empty()) spdlog::warn("table {}: {}", shown_name(table), reshaped.notice);
  if (table.mode != TableMode::Mirror) return reshaped;
  // The shape may be one again on which what was left out before can stand.
  std::vector<std::string>& aside = table.standing.set_aside;
  const std::vector<std::string> before = aside;
  make_again(db_, table);
  for (std::string& sql : take_out_broken_triggers(db_, table)) {
    if (std::find(before.begin(), before.end(), sql) == before.end()) {
      spdlog::warn("table {}: left out trigger \"{}\", which no longer compiles", table.name, sql);
    }
    aside.push_back(std::move(sql));
  }
  return reshaped;
}

Reshaped TableLines::take_shape(MirroredTable& table, const SchemaLine& line) {
  if (table.mode != TableMode::Mirror) return reshape_history(table, line, types_);
  if (!table.is_shared()) return reshape(db_, table, line, types_);
  return reshape_shared(db_, table, line, types_, sharing(load_tables(db_), table));
}

// Attached or detached, the table itself stays what it was; but then its rows may come under
// another name.
bool TableLines::take_partitioning(TrackedTable& followed, bool is_partition) {
  Partitioning& partitioning = followed.table.partitions.kind;
  if (partitioning == Partitioning::Root) return false;
  const auto now = is_partition ? Partitioning::Partition : Partitioning::None;
  if (std::exchange(partitioning, now) == now) return false;
  save_table(db_, followed.table);
  return take_holding(followed);
}

// A table that is made the first partition of a new one gives it its name, in most cases. No line
// is of a partitioned table, so that nothing else says that the name means that one now. A table
// that was a partition before and is called otherwise is followed as any other.
bool TableLines::leave_its_name(TrackedTable& followed, const Change& change) {
  const MirroredTable& table = followed.table;
  const QualifiedName& wished = table.wish.table;
  if (parse_table_name(daystream::unescape(change.table)) == wished) return false;
  tables_.leave(followed, {.state = TableState::Copying,
                           .reason = fmt::format("table {} is called {} now and was attached to a "
                                                 "partitioned table, which may have its name",
                                                 wished.display(), change.table),
                           .hint = NeedsReseed::kCopyIt});
  return true;
}

void TableLines::take_drop(const Change& change, const LineMoment& moment) {
  TrackedTable* followed = tables_.followed().by_oid(change.oid);
  if (followed == nullptr || tables_.skips(*followed)) return;
  check_policy(*followed, "it was dropped");
  if (followed->history) followed->history->apply(change, moment);
  tables_.leave(*followed,
                {.state = TableState::Waiting,
                 .reason = fmt::format("table {} was dropped in PostgreSQL, or the stream leaves "
                                       "it out under its name of now",
                                       followed->table.source_table),
                 .hint = "it is copied when it is there again; \"deltamirror remove\" gives it "
                         "up"},
                TableStates::Leave::Dropped);
}

// What reads otherwise, and was not rewritten in the same transaction, only a copy can show.
void TableLines::finish(daystream::Lsn lsn) {
  names_.settle_wishes();
  std::vector<TrackedTable*> stale;
  for (const auto& followed : tables_.followed()) {
    if (followed->needs_rewrite) stale.push_back(followed.get());
  }
  for (TrackedTable* const followed : stale) {
    tables_.leave(*followed,
                  {.state = TableState::Copying,
                   .reason = fmt::format(
                       "values of table {} read otherwise since {}, and no line has its rows: {}",
                       followed->table.source_table, lsn.text(), followed->meaning),
                   .hint = NeedsReseed::kCopyIt});
  }
  names_.settle_names();
}

}  // namespace deltamirror
