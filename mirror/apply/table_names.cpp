#include "apply/table_names.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "apply/needs_reseed.h"
#include "model/names.h"
#include "store/shared_table.h"

namespace deltamirror {

using daystream::Change;

void TableNames::take_rename(TrackedTable& followed, const std::string& before) {
  tables_.followed().renamed(followed, before);
  renamed_ = true;
  followed.table.source_table = name_now(followed.table).display();
}

void TableNames::give_way(TrackedTable& followed) {
  MirroredTable& table = followed.table;
  // What several sources have under one name keeps it, and so does what was asked for by another.
  if (table.is_shared()) return;
  if (table.wish.name != table.wish.default_name()) return;
  followed.final_name = table.wish.prefix + default_mirror_name(name_now(table));
  const std::string renamed = fmt::format("_deltamirror_renamed_{}", table.shape.oid);
  if (table.name.starts_with(renamed)) return;
  std::string meanwhile = renamed;
  for (int number = 2; somebodys_object(db_, meanwhile); ++number) {
    meanwhile = fmt::format("{}_{}", renamed, number);
  }
  followed.drop_plan();
  rename_mirrored(db_, table, meanwhile);
  forget_table(db_, tables_.source(), table.name);
  table.name = meanwhile;
  save_table(db_, table);
}

namespace {

// Rows in a table of several sources are copied: its name stays.
bool may_exchange(const MirroredTable& one, const MirroredTable& other) {
  return one.mode == TableMode::Mirror && other.mode == TableMode::Mirror && !one.is_shared() &&
         same_but_name(one, other);
}

}  // namespace

// It was made again, exchanged, or has come back.
void TableNames::take_namesake(const Change& change) {
  const QualifiedName name = parse_table_name(daystream::unescape(change.table));
  std::vector<TrackedTable*> before;  // one has the name as yet, another is wished under it
  for (const auto& followed : tables_.followed()) {
    const MirroredTable& table = followed->table;
    if (table.shape.line_name != change.table && table.wish.table != name) continue;
    if (!tables_.skips(*followed)) before.push_back(followed.get());
  }
  for (TrackedTable* const followed : before) {
    tables_.leave(*followed,
                  {.state = TableState::Copying,
                   .reason = fmt::format("table {} is another table now (OID {}, {} before)",
                                         change.table, change.oid, followed->table.shape.oid),
                   .hint = NeedsReseed::kCopyIt});
  }
  for (MirroredTable& table : tables_.absent()) {
    if (table.wish.table != name) continue;
    const bool copying = table.standing.state == TableState::Copying;
    if (!copying && tables_.on_trouble() == OnTrouble::Stop) {
      throw NeedsReseed(
          fmt::format("table {} is another table now (OID {})", change.table, change.oid),
          change.oid, std::string(change.table));
    }
    // Why it was parked is still why it has to be copied.
    const bool waits = table.standing.state == TableState::Waiting;
    tables_.look_again(table, waits ? fmt::format("table {} is there now (OID {}), and no line has "
                                                  "the rows that it came with",
                                                  change.table, change.oid)
                                    : table.standing.reason);
  }
}

// A table that we no longer follow has a name that another wish may be about.
void TableNames::take_freed_names() {
  for (const QualifiedName& name : tables_.take_freed()) {
    const bool has_it =
        std::any_of(tables_.followed().begin(), tables_.followed().end(),
                    [&](const auto& followed) { return name_now(followed->table) == name; });
    if (has_it) continue;
    const std::string reason = fmt::format("table {} is another table now", name.display());
    if (TrackedTable* const wished = tables_.wished_as(name)) {
      tables_.leave(*wished,
                    {.state = TableState::Copying, .reason = reason, .hint = NeedsReseed::kCopyIt});
    }
    for (MirroredTable& table : tables_.absent()) {
      if (table.wish.table == name) tables_.look_again(table, reason);
    }
  }
}

void TableNames::settle_wishes() {
  if (std::exchange(renamed_, false)) {
    while (settle_one_wish()) {
    }
  }
  take_freed_names();
}

// Where another wish names what a followed table is called now, that table is what the other wish
// is about: followed tables have exchanged their names. Wishes that ask for the same are exchanged
// with them; else both are copied.
// False: there is none to settle. What leaves moves the others: the tables are looked through
// again.
bool TableNames::settle_one_wish() {
  for (const auto& each : tables_.followed()) {
    TrackedTable* const followed = each.get();
    MirroredTable& table = followed->table;
    const QualifiedName now = name_now(table);
    if (now == table.wish.table) continue;
    const auto absent = std::find_if(tables_.absent().begin(), tables_.absent().end(),
                                     [&](const MirroredTable& t) { return t.wish.table == now; });
    TrackedTable* const tracked = tables_.wished_as(now);
    if (absent == tables_.absent().end() && tracked == nullptr) continue;
    MirroredTable& other = tracked != nullptr ? tracked->table : *absent;
    if (may_exchange(table, other)) {
      // Either may have stayed here under the name that is the other's from now on.
      give_way(*followed);
      if (tracked != nullptr) give_way(*tracked);
      exchange_wishes(table, other);
      return true;
    }
    const std::string why = fmt::format("tables {} and {} have exchanged names",
                                        table.wish.table.display(), other.wish.table.display());
    const Absence absence{
        .state = TableState::Copying, .reason = why, .hint = NeedsReseed::kCopyIt};
    if (tracked != nullptr) {
      tables_.leave(*tracked, absence);
    } else {
      tables_.look_again(other, why);
    }
    tables_.leave(*followed, absence);
    return true;
  }
  return false;
}

void TableNames::exchange_wishes(MirroredTable& one, MirroredTable& other) {
  std::swap(one.wish, other.wish);
  if (one.is_followed()) save_table(db_, one);
  if (other.is_followed()) {
    save_table(db_, other);
  } else {
    forget_table(db_, tables_.source(), other.name);
    other.name = other.wish.name;
    other.source_table = other.wish.table.display();
    set_absence(db_, other,
                {.state = TableState::Waiting,
                 .reason = "PostgreSQL has no such table now: it was renamed",
                 .hint = {}});
  }
}

// What is wished under a name has it, also while it is not there.
bool TableNames::may_be_called(const MirroredTable& table, const std::string& name) const {
  const std::vector<MirroredTable> all = load_tables(db_);
  return is_free_name(db_, name) &&
         std::none_of(all.begin(), all.end(), [&](const MirroredTable& other) {
           const bool same = other.source == table.source && other.wish.name == table.wish.name;
           return !same && folded(other.wish.name) == folded(name);
         });
}

// SQLite may have the name, or not allow it: then the table is called as it was wished.
void TableNames::settle_name(TrackedTable& followed) {
  MirroredTable& table = followed.table;
  std::string name = std::exchange(followed.final_name, {});
  if (!may_be_called(table, name)) {
    if (!may_be_called(table, table.wish.name)) {
      return tables_.leave(followed,
                           {.state = TableState::Parked,
                            .reason = fmt::format("table {} cannot be called \"{}\" here: SQLite "
                                                  "has that name, or does not allow it",
                                                  table.source_table, name),
                            .hint = "give it another name with \"as\""});
    }
    spdlog::warn("table {} stays \"{}\" here: SQLite has the name \"{}\", or does not allow it",
                 table.source_table, table.wish.name, name);
    name = table.wish.name;
  }
  tables_.call(followed, name);
}

void TableNames::settle_names() {
  std::vector<TrackedTable*> renamed;
  for (const auto& followed : tables_.followed()) {
    if (!followed->final_name.empty()) renamed.push_back(followed.get());
  }
  for (TrackedTable* const followed : renamed) settle_name(*followed);
}

}  // namespace deltamirror
