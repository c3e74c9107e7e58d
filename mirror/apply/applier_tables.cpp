// What an owner changes in the set of tables that are followed.
#include <fmt/format.h>

#include <algorithm>

#include "apply/applier.h"
#include "apply/asked_tables.h"
#include "history/history_tables.h"
#include "store/shared_table.h"

namespace deltamirror {

void Applier::check_policy(const TrackedTable& followed, const std::string& what) const {
  if (shape_policy_ == ShapePolicy::Follow || limit_) return;
  throw daystream::NeedsPerson(
      fmt::format("table {} changes its shape after {}: {}", followed.table.source_table,
                  reached_.lsn.text(), what),
      "this mirror stops at that: run it with --shape-changes follow to go on");
}

void Applier::check_asked(const std::string& line_name) const {
  if (asked_.empty()) return;
  const std::string name = daystream::unescape(line_name);
  if (!daystream::table_list_matches(asked_, name)) throw TableNotAsked(name);
}

void Applier::check_held() {
  take_holdings(reached_.position);
}

void Applier::set_absence(const std::string& name, const Absence& absence) {
  begin();
  if (TrackedTable* const followed = tables_.by_name(name)) return leave(*followed, absence);
  for (MirroredTable& table : absent_) {
    if (table.name == name) deltamirror::set_absence(db_, table, absence);
  }
}

void Applier::add_absent(MirroredTable table) {
  begin();
  save_table(db_, table);
  absent_.push_back(std::move(table));
}

void Applier::check_asked() const {
  for (const auto& followed : tables_) check_asked(followed->table.shape.line_name);
}

void Applier::install(const MirroredTable& table, const std::function<void()>& put_in_place) {
  begin();
  // Its own wish may be called otherwise now, as a rename is followed; and another's may have its
  // name by a rename.
  TrackedTable* before = nullptr;
  TrackedTable* other = nullptr;
  for (const auto& followed : tables_) {
    const MirroredTable& has = followed->table;
    if (has.wished_name == table.wished_name) {
      before = followed.get();
    } else if (folded(has.name) == folded(table.name)) {
      other = followed.get();
    }
  }
  if (before != nullptr) {
    const MirroredTable old = std::move(tables_.remove(*before)->table);
    if (old.name != table.name) {
      drop_own(db_, old);
      forget_table(db_, source_, old.name);
    }
  }
  if (other != nullptr) call(*other, other->table.wished_name);
  std::erase_if(absent_, [&](const MirroredTable& t) { return t.name == table.name; });
  put_in_place();
  auto followed = std::make_unique<TrackedTable>();
  followed->table = table;
  if (table.mode != TableMode::Mirror) {
    // Its beginning is what the table is where the mirror is now.
    followed->table.base = committed_.position;
    followed->table.base_lsn = committed_.lsn;
    begin_history(db_, followed->table);
  }
  save_table(db_, followed->table);
  if (table.is_static()) return;
  make_plan(*followed);
  tables_.add(std::move(followed));
}

void Applier::learn(const TypeNames& types, daystream::Lsn consistent_at, std::uint32_t timeline) {
  begin();
  types_ = types;
  save_types(db_, source_, types);
  if (consistent_at <= reached_.lsn) return;
  reached_.consistent_at = std::max(reached_.consistent_at, consistent_at);
  reached_.timeline = timeline;
}

void Applier::set_indexes(const std::string& name, std::vector<std::vector<std::string>> indexes) {
  begin();
  for (const auto& followed : tables_) {
    if (followed->table.name != name) continue;
    followed->table.indexes = std::move(indexes);
    save_table(db_, followed->table);
    return;
  }
  for (MirroredTable& table : load_tables_of(db_, source_)) {  // a static one
    if (table.name != name) continue;
    table.indexes = std::move(indexes);
    save_table(db_, table);
    return;
  }
}

void Applier::set_keep_days(const std::string& name, int days) {
  begin();
  for (const auto& followed : tables_) {
    if (followed->table.name != name) continue;
    followed->table.keep_days = days;
    save_table(db_, followed->table);
  }
}

void Applier::set_seeded(const std::string& name, const std::string& at) {
  begin();
  for (const auto& followed : tables_) {
    if (followed->table.name != name) continue;
    followed->table.seeded_at = at;
    save_table(db_, followed->table);
  }
}

bool Applier::remove(const std::string& name) {
  const std::vector<MirroredTable> tables = load_tables_of(db_, source_);
  const auto found = std::find_if(tables.begin(), tables.end(),
                                  [&](const MirroredTable& t) { return t.name == name; });
  if (found == tables.end()) return false;
  begin();
  if (TrackedTable* const followed = tables_.by_name(name)) tables_.remove(*followed);
  std::erase_if(absent_, [&](const MirroredTable& table) { return table.name == name; });
  if (!found->hidden) drop_mirrored(db_, *found);
  forget_table(db_, source_, name);
  return true;
}

}  // namespace deltamirror
