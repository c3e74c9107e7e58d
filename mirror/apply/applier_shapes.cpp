// What lines say about a table as a whole: shape, name, partitions, its end.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "apply/applier.h"
#include "apply/needs_reseed.h"
#include "history/history_tables.h"
#include "model/meaning.h"
#include "model/names.h"
#include "store/shared_table.h"

namespace deltamirror {

using daystream::Action;
using daystream::Change;
using daystream::NeedsPerson;
using daystream::Transaction;

// A table that we do not follow has a name. Where that name is wished, it is the table that is
// wished from here on: it was made anew, exchanged, or has come back. What rows it has, no line
// tells.
void Applier::take_namesake(const Change& change, std::uint64_t xid) {
  const QualifiedName name = parse_table_name(daystream::unescape(change.table));
  std::vector<TrackedTable*> before;  // one has the name as yet, another is wished under it
  for (const auto& followed : tables_) {
    if (followed->table.shape.line_name != change.table && followed->table.wished != name) continue;
    enter(*followed, xid);
    if (!followed->skip) before.push_back(followed.get());
  }
  for (TrackedTable* const followed : before) {
    leave(*followed, {.state = TableState::Copying,
                      .reason = fmt::format("table {} is another table now (OID {}, {} before)",
                                            change.table, change.oid, followed->table.shape.oid),
                      .hint = NeedsReseed::kCopyIt});
  }
  for (MirroredTable& table : absent_) {
    if (table.wished != name) continue;
    const bool copying = table.state == TableState::Copying;
    if (!copying && on_trouble_ == OnTrouble::Stop) {
      throw NeedsReseed(
          fmt::format("table {} is another table now (OID {})", change.table, change.oid),
          change.oid, std::string(change.table));
    }
    look_again(table, copying ? table.reason : std::string());
  }
}

// A copy of it that did not find the table may have looked before it was there.
void Applier::look_again(MirroredTable& table, const std::string& reason) {
  table.since.clear();
  deltamirror::set_absence(
      db_, table, {.state = TableState::Copying, .reason = reason, .hint = NeedsReseed::kCopyIt});
  ++pending_changes_;
}

// A partition with rows came to or left a table that we follow as one, or all of its rows did:
// which of ours they are no line tells.
void Applier::check_root(const Change& change, std::uint64_t xid) {
  TrackedTable* root = tables_.by_oid(change.root);
  if (root == nullptr) {
    // It may be one of those that could not be copied for what their partitions were.
    for (MirroredTable& table : absent_) {
      if (table.state == TableState::Parked) look_again(table, table.reason);
    }
    return;
  }
  enter(*root, xid);
  if (root->skip) return;
  const std::string what = change.action == Action::Schema    ? "attached"
                           : change.action == Action::Drop    ? "detached or dropped"
                           : change.action == Action::Rewrite ? "rewritten"
                                                              : "truncated";
  // A server does not name tables that we may not read.
  const std::string partition =
      change.table.empty() ? "a partition" : fmt::format("partition {}", change.table);
  leave(*root,
        {.state = TableState::Copying,
         .reason = fmt::format("{} of table {} was {}", partition, root->table.source_table, what),
         .hint = NeedsReseed::kCopyIt});
}

void Applier::apply_schema(const Change& change, std::uint64_t xid) {
  TrackedTable* followed = tables_.by_oid(change.oid);
  if (followed == nullptr) {
    take_namesake(change, xid);
    return;
  }
  enter(*followed, xid);
  if (followed->skip) return;
  const SchemaLine line = parse_schema(change);
  MirroredTable& table = followed->table;
  if (take_partitioning(*followed, change.root != 0)) return;
  if (line.shape == table.shape && line.facts == table.facts) return;
  if (types_.take(line.facts)) save_types(db_, source_, types_);
  check_asked(line.shape.line_name);
  std::string what = difference(table.shape, line.shape);
  if (what.empty()) what = other_meaning(table.shape, table.facts, line.shape, line.facts);
  if (!what.empty()) spdlog::info("table {}: {}", table.source_table, what);
  if (!what.empty() || line.shape != table.shape) {
    check_policy(*followed, what.empty() ? "its schema" : what);
  }

  followed->drop_plan();
  const std::string old_line_name = table.shape.line_name;
  try {
    reshape_table(*followed, line);
  } catch (const NeedsPerson& e) {
    // Half of it may be done: what is left of the table is taken out with it.
    return leave(*followed, {.state = TableState::Copying, .reason = e.what(), .hint = e.hint()});
  }
  if (old_line_name != line.shape.line_name && rename_in_stream(*followed, old_line_name)) return;
  save_table(db_, table);
  make_plan(*followed);
  ++pending_changes_;
}

void Applier::reshape_table(TrackedTable& followed, const SchemaLine& line) {
  MirroredTable& table = followed.table;
  const Reshaped reshaped = take_shape(table, line);
  table.facts = line.facts;
  if (reshaped.needs_rewrite) {
    followed.needs_rewrite = true;
    followed.meaning = reshaped.meaning;
  }
  if (!reshaped.notice.empty()) spdlog::warn("table {}: {}", table.name, reshaped.notice);
  if (table.mode != TableMode::Mirror) return;
  for (std::string& sql : take_out_broken_triggers(db_, table)) {
    spdlog::warn("table {}: left out trigger \"{}\", which no longer compiles", table.name, sql);
    table.set_aside.push_back(std::move(sql));
  }
}

Reshaped Applier::take_shape(MirroredTable& table, const SchemaLine& line) {
  if (table.mode != TableMode::Mirror) return reshape_history(table, line, types_);
  if (!table.is_shared()) return reshape(db_, table, line, types_);
  return reshape_shared(db_, table, line, types_, sharing(load_tables(db_), table));
}

// Attached or detached, the table itself stays what it was; but then its rows may come under
// another name.
bool Applier::take_partitioning(TrackedTable& followed, bool is_partition) {
  Partitioning& partitioning = followed.table.partitioning;
  if (partitioning == Partitioning::Root) return false;
  const auto now = is_partition ? Partitioning::Partition : Partitioning::None;
  if (std::exchange(partitioning, now) == now) return false;
  save_table(db_, followed.table);
  return take_holding(followed, reached_.position);
}

// Names may be exchanged within a transaction: the SQLite name is settled at its end. True: the
// stream does not hold it under its name of now, and it has left.
bool Applier::rename_in_stream(TrackedTable& followed, const std::string& old_line_name) {
  MirroredTable& table = followed.table;
  tables_.renamed(followed, old_line_name);
  renamed_ = true;

  const QualifiedName from = parse_table_name(daystream::unescape(old_line_name));
  const QualifiedName to = name_now(table);
  table.source_table = to.display();
  if (take_holding(followed, reached_.position)) return true;
  // What several sources have under one name keeps it.
  if (table.is_shared()) return false;
  const std::string& called = followed.final_name.empty() ? table.name : followed.final_name;
  if (called != table.prefix + default_mirror_name(from)) return false;
  followed.final_name = table.prefix + default_mirror_name(to);
  const std::string meanwhile = fmt::format("_deltamirror_renamed_{}", table.shape.oid);
  if (table.name == meanwhile) return false;
  alter_table(db_, fmt::format("ALTER TABLE {} RENAME TO {}", quote_name(table.name),
                               quote_name(meanwhile)));
  forget_table(db_, source_, table.name);
  table.name = meanwhile;
  return false;
}

// A table that we no longer follow has a name that another wish may be about.
void Applier::take_freed_names() {
  for (const QualifiedName& name : std::exchange(freed_, {})) {
    const bool has_it = std::any_of(tables_.begin(), tables_.end(), [&](const auto& followed) {
      return name_now(followed->table) == name;
    });
    if (has_it) continue;
    const std::string reason = fmt::format("table {} is another table now", name.display());
    if (TrackedTable* const wished = wished_as(name)) {
      leave(*wished,
            {.state = TableState::Copying, .reason = reason, .hint = NeedsReseed::kCopyIt});
    }
    for (MirroredTable& table : absent_) {
      if (table.wished == name) look_again(table, reason);
    }
  }
}

void Applier::finish_shapes(const Transaction& transaction) {
  if (renamed_) settle_wishes();
  take_freed_names();
  std::vector<TrackedTable*> all;
  for (const auto& followed : tables_) {
    if (followed->needs_rewrite || !followed->final_name.empty()) all.push_back(followed.get());
  }
  for (TrackedTable*& each : all) {
    if (!each->needs_rewrite) continue;
    TrackedTable& followed = *std::exchange(each, nullptr);
    leave(followed, {.state = TableState::Copying,
                     .reason = fmt::format(
                         "values of table {} read otherwise since {}, and no line tells its "
                         "rows: {}",
                         followed.table.source_table, transaction.lsn().text(), followed.meaning),
                     .hint = NeedsReseed::kCopyIt});
  }
  for (TrackedTable* const followed : all) {
    if (followed != nullptr) settle_name(*followed);
  }
}

// Where another wish names what a followed table is called now, that table is what the other wish
// is about: followed tables have exchanged their names. Wishes that ask for the same are exchanged
// with them; else both are copied.
void Applier::settle_wishes() {
  while (settle_one_wish()) {
  }
}

// False: there is none to settle. What leaves moves the others: the tables are looked through anew.
bool Applier::settle_one_wish() {
  for (const auto& each : tables_) {
    TrackedTable* const followed = each.get();
    MirroredTable& table = followed->table;
    const QualifiedName now = name_now(table);
    if (now == table.wished) continue;
    const auto absent = std::find_if(absent_.begin(), absent_.end(),
                                     [&](const MirroredTable& t) { return t.wished == now; });
    TrackedTable* const tracked = wished_as(now);
    if (absent == absent_.end() && tracked == nullptr) continue;
    MirroredTable& other = tracked != nullptr ? tracked->table : *absent;
    if (exchange_wishes(table, other)) return true;
    const std::string why = fmt::format("tables {} and {} have exchanged names",
                                        table.wished.display(), other.wished.display());
    const Absence absence{
        .state = TableState::Copying, .reason = why, .hint = NeedsReseed::kCopyIt};
    if (tracked != nullptr) {
      leave(*tracked, absence);
    } else {
      look_again(other, why);
    }
    leave(*followed, absence);
    return true;
  }
  return false;
}

// nullptr: none that is followed is wished under that name.
TrackedTable* Applier::wished_as(const QualifiedName& name) const {
  for (const auto& each : tables_) {
    if (each->table.wished == name) return each.get();
  }
  return nullptr;
}

bool Applier::exchange_wishes(MirroredTable& one, MirroredTable& other) {
  if (one.mode != TableMode::Mirror || other.mode != TableMode::Mirror) return false;
  if (!same_but_name(one, other)) return false;
  std::swap(one.wish, other.wish);
  std::swap(one.wished, other.wished);
  std::swap(one.wished_name, other.wished_name);
  if (one.is_followed()) save_table(db_, one);
  if (other.is_followed()) {
    save_table(db_, other);
  } else {
    forget_table(db_, source_, other.name);
    other.name = other.wished_name;
    other.source_table = other.wished.display();
    deltamirror::set_absence(db_, other,
                             {.state = TableState::Waiting,
                              .reason = "PostgreSQL has no such table now: it was renamed",
                              .hint = {}});
  }
  return true;
}

// What is wished under a name has it, also while it is not there.
bool Applier::may_be_called(const MirroredTable& table, const std::string& name) const {
  const std::vector<MirroredTable> all = load_tables(db_);
  return is_free_name(db_, name) &&
         std::none_of(all.begin(), all.end(), [&](const MirroredTable& other) {
           const bool same = other.source == table.source && other.wished_name == table.wished_name;
           return !same && folded(other.wished_name) == folded(name);
         });
}

// SQLite may have the name, or not allow it: then the table is called as it was wished.
void Applier::settle_name(TrackedTable& followed) {
  MirroredTable& table = followed.table;
  std::string name = std::exchange(followed.final_name, {});
  if (!may_be_called(table, name)) {
    if (!may_be_called(table, table.wished_name)) {
      return leave(followed, {.state = TableState::Parked,
                              .reason = fmt::format("table {} cannot be called \"{}\" here: SQLite "
                                                    "has that name, or does not allow it",
                                                    table.source_table, name),
                              .hint = "give it another name with \"as\""});
    }
    spdlog::warn("table {} stays \"{}\" here: SQLite has the name \"{}\", or does not allow it",
                 table.source_table, table.wished_name, name);
    name = table.wished_name;
  }
  call(followed, name);
}

void Applier::call(TrackedTable& followed, const std::string& name) {
  MirroredTable& table = followed.table;
  followed.drop_plan();
  alter_table(db_,
              fmt::format("ALTER TABLE {} RENAME TO {}", quote_name(table.name), quote_name(name)));
  forget_table(db_, source_, table.name);
  table.name = name;
  save_table(db_, table);
  make_plan(followed);
}

void Applier::apply_drop(const Change& change, std::uint64_t xid) {
  TrackedTable* followed = tables_.by_oid(change.oid);
  if (followed == nullptr) return;
  enter(*followed, xid);
  if (followed->skip) return;
  check_policy(*followed, "it was dropped");
  if (followed->history) followed->history->apply(change, moment_);
  leave(*followed,
        {.state = TableState::Waiting,
         .reason = fmt::format("table {} was dropped in PostgreSQL, or the stream leaves "
                               "it out under its name of now",
                               followed->table.source_table),
         .hint = "it is copied when it is there again; \"deltamirror remove\" gives it "
                 "up"},
        Leave::Dropped);
}

}  // namespace deltamirror
