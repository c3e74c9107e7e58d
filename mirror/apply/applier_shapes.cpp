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
using daystream::Transaction;

// Another table has the name of one of ours, or of one that gave it up in this transaction: it was
// dropped and made anew, or exchanged. What rows the other one had before, no line tells.
void Applier::check_namesake(const Change& change, std::uint64_t xid) {
  std::string what = "dropped or renamed";
  if (!left_names_.contains(change.table)) {
    Followed* namesake = by_line_name(change.table);
    if (namesake == nullptr) return;
    enter(*namesake, xid);
    if (namesake->skip) return;
    what = fmt::format("OID {} before", namesake->table.shape.oid);
  }
  throw NeedsReseed(
      fmt::format("table {} is another table now (OID {}, {})", change.table, change.oid, what), 0,
      std::string(change.table));
}

// A partition with rows came to or left a table that we follow as one, or all of its rows did:
// which of ours they are no line tells.
void Applier::check_root(const Change& change, std::uint64_t xid) {
  Followed* root = by_oid(change.root);
  if (root == nullptr) return;
  enter(*root, xid);
  if (root->skip) return;
  const std::string what = change.action == Action::Schema    ? "attached"
                           : change.action == Action::Drop    ? "detached or dropped"
                           : change.action == Action::Rewrite ? "rewritten"
                                                              : "truncated";
  // A server does not name tables that we may not read.
  const std::string partition =
      change.table.empty() ? "a partition" : fmt::format("partition {}", change.table);
  throw NeedsReseed(fmt::format("{} of table {} was {}", partition, root->table.source_table, what),
                    change.root, root->table.shape.line_name);
}

void Applier::apply_schema(const Change& change, std::uint64_t xid) {
  Followed* followed = by_oid(change.oid);
  if (followed == nullptr) {
    check_namesake(change, xid);
    return;
  }
  enter(*followed, xid);
  if (followed->skip) return;
  const SchemaLine line = parse_schema(change);
  MirroredTable& table = followed->table;
  take_partitioning(*followed, change.root != 0);
  if (line.shape == table.shape && line.facts == table.facts) return;
  if (types_.take(line.facts)) save_types(db_, source_, types_);
  check_asked(line.shape.line_name);
  std::string what = difference(table.shape, line.shape);
  if (what.empty()) what = other_meaning(table.shape, table.facts, line.shape, line.facts);
  if (!what.empty()) spdlog::info("table {}: {}", table.source_table, what);
  if (!what.empty() || line.shape != table.shape) {
    check_policy(*followed, what.empty() ? "its schema" : what);
  }

  drop_plan(*followed);
  const std::string old_line_name = table.shape.line_name;
  const Reshaped reshaped = take_shape(table, line);
  table.facts = line.facts;
  if (reshaped.needs_rewrite) {
    followed->needs_rewrite = true;
    followed->meaning = reshaped.meaning;
  }
  if (!reshaped.notice.empty()) spdlog::warn("table {}: {}", table.name, reshaped.notice);
  if (old_line_name != line.shape.line_name) rename_in_stream(*followed, old_line_name);
  save_table(db_, table);
  make_plan(*followed);
  ++pending_changes_;
}

Reshaped Applier::take_shape(MirroredTable& table, const SchemaLine& line) {
  if (table.mode != TableMode::Mirror) return reshape_history(table, line, types_);
  if (!table.is_shared()) return reshape(db_, table, line, types_);
  return reshape_shared(db_, table, line, types_, sharing(load_tables(db_), table));
}

// Attached or detached, the table itself stays what it was; but then its rows may come under
// another name.
void Applier::take_partitioning(Followed& followed, bool is_partition) {
  Partitioning& partitioning = followed.table.partitioning;
  if (partitioning == Partitioning::Root) return;
  const auto now = is_partition ? Partitioning::Partition : Partitioning::None;
  if (std::exchange(partitioning, now) == now) return;
  save_table(db_, followed.table);
  check_held(followed, reached_.position);
}

// Names may be swapped within a transaction: the SQLite name is settled at its end.
void Applier::rename_in_stream(Followed& followed, const std::string& old_line_name) {
  MirroredTable& table = followed.table;
  const auto found = by_name_.find(old_line_name);
  if (found != by_name_.end() && found->second == &followed) by_name_.erase(found);
  left_names_.insert(old_line_name);
  by_name_.insert_or_assign(table.shape.line_name, &followed);
  last_name_.clear();
  last_ = nullptr;

  const QualifiedName from = parse_table_name(daystream::unescape(old_line_name));
  const QualifiedName to = parse_table_name(daystream::unescape(table.shape.line_name));
  table.source_table = to.display();
  check_held(followed, reached_.position);
  // What several sources have under one name keeps it.
  if (table.is_shared()) return;
  const std::string& called = followed.final_name.empty() ? table.name : followed.final_name;
  if (called != table.prefix + default_mirror_name(from)) return;
  followed.final_name = table.prefix + default_mirror_name(to);
  const std::string meanwhile = fmt::format("_deltamirror_renamed_{}", table.shape.oid);
  if (table.name == meanwhile) return;
  alter_table(db_, fmt::format("ALTER TABLE {} RENAME TO {}", quote_name(table.name),
                               quote_name(meanwhile)));
  forget_table(db_, source_, table.name);
  table.name = meanwhile;
}

void Applier::finish_shapes(const Transaction& transaction) {
  for (const auto& followed : tables_) {
    MirroredTable& table = followed->table;
    if (followed->needs_rewrite) {
      throw NeedsReseed(
          fmt::format(
              "values of table {} read otherwise since {}, and no line tells its rows anew: "
              "{}",
              table.source_table, transaction.lsn().text(), followed->meaning),
          table.shape.oid, table.shape.line_name);
    }
    if (followed->final_name.empty()) continue;
    check_mirror_name(followed->final_name);
    drop_plan(*followed);
    alter_table(db_, fmt::format("ALTER TABLE {} RENAME TO {}", quote_name(table.name),
                                 quote_name(followed->final_name)));
    forget_table(db_, source_, table.name);
    table.name = std::exchange(followed->final_name, {});
    save_table(db_, table);
    make_plan(*followed);
  }
}

void Applier::apply_drop(const Change& change, std::uint64_t xid) {
  Followed* followed = by_oid(change.oid);
  if (followed == nullptr) return;
  enter(*followed, xid);
  if (followed->skip) return;
  check_policy(*followed, "it was dropped");
  if (followed->history) {
    spdlog::warn("table {} was dropped in PostgreSQL: its history \"{}\" stays",
                 followed->table.source_table, shown_name(followed->table));
    followed->history->apply(change, moment_);
    ++pending_changes_;
    return;
  }
  spdlog::warn("table {} was dropped in PostgreSQL: dropping \"{}\"", followed->table.source_table,
               followed->table.name);
  drop_plan(*followed);
  drop_own(db_, followed->table);
  forget_table(db_, source_, followed->table.name);
  const auto named = by_name_.find(followed->table.shape.line_name);
  if (named != by_name_.end() && named->second == followed) by_name_.erase(named);
  left_names_.insert(followed->table.shape.line_name);
  last_name_.clear();
  last_ = nullptr;
  std::erase_if(tables_, [&](const auto& t) { return t.get() == followed; });
  ++pending_changes_;
}

}  // namespace deltamirror
