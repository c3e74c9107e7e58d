#include "apply/table_states.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "apply/needs_reseed.h"
#include "history/history_tables.h"
#include "store/shared_table.h"

namespace deltamirror {

namespace {

constexpr const char* kGiveTheName =
    "drop what has the name, or give the table another one with \"as\"";

}  // namespace

TableStates::TableStates(Database& db, MirrorCommit& commit) : db_(db), commit_(commit) {
  load();
}

void TableStates::load() {
  followed_ = {};
  absent_.clear();
  for (MirroredTable& table : load_tables_of(db_, source())) {
    if (table.is_static()) continue;
    if (!table.is_followed()) {
      absent_.push_back(std::move(table));
      continue;
    }
    auto followed = std::make_unique<TrackedTable>();
    followed->table = std::move(table);
    try {
      make_plan(*followed);
      followed_.add(std::move(followed));
    } catch (const SqliteError& e) {
      // Somebody has dropped or altered it here.
      if (!e.is_of_schema()) throw;
      spdlog::warn("table {}: {}", shown_wish(followed->table), e.what());
      commit_.begin();
      take_out(db_, followed->table,
               {.state = TableState::Copying, .reason = e.what(), .hint = NeedsReseed::kCopyIt},
               OnTrouble::Hide);
      absent_.push_back(std::move(followed->table));
    }
  }
}

TrackedTable* TableStates::wished_as(const QualifiedName& name) const {
  for (const auto& each : followed_) {
    if (each->table.wish.table == name) return each.get();
  }
  return nullptr;
}

void TableStates::make_plan(TrackedTable& table) {
  if (table.table.mode != TableMode::Mirror) {
    table.history = make_history_writer(db_, table.table);
    return;
  }
  table.plan = std::make_unique<TablePlan>(
      db_, table.table, limit_ ? TablePlan::Strictness::Lenient : TablePlan::Strictness::Strict);
}

void TableStates::compare_with(const MvccSnapshot& snapshot) {
  commit_.begin();
  limit_ = snapshot;
  for (const auto& each : followed_) make_plan(*each);
}

void TableStates::rebase(const MvccSnapshot& snapshot, daystream::Lsn consistent_at,
                         std::uint32_t timeline) {
  commit_.begin();
  for (const auto& each : followed_) {
    MirroredTable& table = each->table;
    table.seed.snapshot = snapshot;
    table.seed.consistent_at = consistent_at;
    table.seed.timeline = timeline;
    save_table(db_, table);
  }
}

void TableStates::begin_transaction(std::uint64_t xid) {
  ++generation_;
  xid_ = xid;
  freed_.clear();
}

// What is to be known once per table and transaction.
bool TableStates::skips(TrackedTable& table) {
  if (std::exchange(table.generation, generation_) != generation_) {
    table.skip =
        xid_ != 0 && (table.table.seed.snapshot.sees(xid_) || (limit_ && !limit_->sees(xid_)));
  }
  return table.skip;
}

void TableStates::leave(TrackedTable& followed, const Absence& absence, Leave why) {
  const MirroredTable& table = followed.table;
  const bool keeps = on_trouble_ == OnTrouble::Keep && table.mode == TableMode::Mirror;
  if (limit_ || (why == Leave::Trouble && (keeps || on_trouble_ == OnTrouble::Stop))) {
    throw NeedsReseed(absence.reason, table.shape.oid, table.shape.line_name, absence.hint);
  }
  // As it is called from now on: what it has meanwhile may be a name of our own.
  spdlog::warn("table {}: {}{}", shown_wish(table), absence.reason,
               table.mode == TableMode::Mirror ? "; readers do not find it until it is back" : "");
  commit_.begin();
  const QualifiedName name = name_now(table);
  // Whom else the name is wished of has to look what is behind it now.
  if (why == Leave::Trouble && name != table.wish.table) freed_.push_back(name);
  MirroredTable gone = std::move(followed_.remove(followed)->table);
  take_out(db_, gone, absence, OnTrouble::Hide);
  absent_.push_back(std::move(gone));
  commit_.count_change();
}

void TableStates::look_again(MirroredTable& table, const std::string& reason) {
  table.standing.since.clear();
  deltamirror::set_absence(
      db_, table, {.state = TableState::Copying, .reason = reason, .hint = NeedsReseed::kCopyIt});
  commit_.count_change();
}

void TableStates::call(TrackedTable& followed, const std::string& name) {
  MirroredTable& table = followed.table;
  followed.drop_plan();
  try {
    rename_mirrored(db_, table, name);
  } catch (const SqliteError& e) {
    if (!e.is_of_statement()) throw;
    return leave(followed,
                 {.state = TableState::Parked,
                  .reason = fmt::format("it cannot be called \"{}\" here: {}", name, e.what()),
                  .hint = kGiveTheName});
  }
  forget_table(db_, source(), table.name);
  table.name = name;
  save_table(db_, table);
  make_plan(followed);
}

void TableStates::set_absence(const std::string& name, const Absence& absence) {
  commit_.begin();
  for (const auto& followed : followed_) {
    if (followed->table.wish.name == name) return leave(*followed, absence);
  }
  for (MirroredTable& table : absent_) {
    if (table.name == name) deltamirror::set_absence(db_, table, absence);
  }
}

void TableStates::add_absent(MirroredTable table) {
  commit_.begin();
  make_room_for(table);
  save_table(db_, table);
  absent_.push_back(std::move(table));
}

// Another may have its name by a rename.
void TableStates::make_room_for(const MirroredTable& table) {
  for (const auto& each : followed_) {
    const MirroredTable& has = each->table;
    if (has.wish.name == table.wish.name || folded(has.name) != folded(table.name)) continue;
    return call(*each, has.wish.name);
  }
}

// Its own wish may be called otherwise now, as a rename is followed.
void TableStates::replace(const MirroredTable& table) {
  TrackedTable* before = nullptr;
  for (const auto& each : followed_) {
    if (each->table.wish.name == table.wish.name) before = each.get();
  }
  if (before != nullptr) {
    const MirroredTable old = std::move(followed_.remove(*before)->table);
    if (old.name != table.name) {
      drop_own(db_, old);
      forget_table(db_, source(), old.name);
    }
  }
  make_room_for(table);
  std::erase_if(absent_, [&](const MirroredTable& t) { return t.name == table.name; });
}

void TableStates::install(const MirroredTable& table, const std::function<void()>& put_in_place) {
  commit_.begin();
  {
    Savepoint before(db_);
    try {
      replace(table);
      put_in_place();
      before.release();
    } catch (const SqliteError& e) {
      if (!e.is_of_statement()) throw;
      before.take_back();
      load();
      throw;
    }
  }
  auto followed = std::make_unique<TrackedTable>();
  followed->table = table;
  if (table.mode != TableMode::Mirror) {
    // Its beginning is what the table is where the mirror is now.
    followed->table.kept.from = commit_.committed().position;
    followed->table.kept.from_lsn = commit_.committed().lsn;
    begin_history(db_, followed->table);
  }
  save_table(db_, followed->table);
  if (table.is_static()) return;
  make_plan(*followed);
  followed_.add(std::move(followed));
}

bool TableStates::remove(const std::string& name) {
  const std::vector<MirroredTable> tables = load_tables_of(db_, source());
  const auto found = std::find_if(tables.begin(), tables.end(),
                                  [&](const MirroredTable& t) { return t.name == name; });
  if (found == tables.end()) return false;
  commit_.begin();
  if (TrackedTable* const followed = followed_.by_name(name)) followed_.remove(*followed);
  std::erase_if(absent_, [&](const MirroredTable& table) { return table.name == name; });
  remove_mirrored(db_, *found);
  return true;
}

void TableStates::edit(const std::string& name, const std::function<void(MirroredTable&)>& change) {
  commit_.begin();
  const auto edit_one = [&](MirroredTable& table) {
    change(table);
    save_table(db_, table);
  };
  if (TrackedTable* const followed = followed_.by_name(name)) return edit_one(followed->table);
  for (MirroredTable& table : absent_) {
    if (table.name != name) continue;
    change(table);
    return save_absent(db_, table);
  }
  for (MirroredTable& table : load_tables_of(db_, source())) {
    if (table.name == name) return edit_one(table);  // a static one
  }
}

}  // namespace deltamirror
