// What is wished for and what is here, under random histories of tables that are made, dropped,
// renamed and exchanged while others are copied: the deciding code itself, a mirror in memory, and
// a server and copies that are numbers.
#include <spdlog/spdlog.h>

#include <catch2/catch.hpp>
#include <map>
#include <optional>

#include "apply/table_lines.h"
#include "daystream/line.h"
#include "history.h"
#include "owner/retries.h"
#include "seed/requests.h"
#include "store/checkpoint.h"
#include "support/followed_table.h"

using namespace deltamirror;
using simulation::History;

namespace {

// The first three are wished for.
constexpr const char* kNames[] = {"a", "b", "c", "x", "y"};
constexpr std::size_t kWished = 3;

struct Event {
  enum class Kind { Create, Drop, Rename, Exchange, MakeAnew, BeginCopy, EndCopy, Restart };
  Kind kind = Kind::Create;
  std::size_t one = 0;  // names
  std::size_t other = 0;
};

Event draw(std::mt19937_64& random) {
  static constexpr Event::Kind kKinds[] = {
      Event::Kind::Create,  Event::Kind::Create,   Event::Kind::Drop,     Event::Kind::Rename,
      Event::Kind::Rename,  Event::Kind::Exchange, Event::Kind::MakeAnew, Event::Kind::BeginCopy,
      Event::Kind::EndCopy, Event::Kind::EndCopy,  Event::Kind::Restart};
  return {kKinds[random() % 11], random() % 5, random() % 5};
}

std::string text_of(const Event& event) {
  static const char* const kKinds[] = {"create",     "drop",       "rename",   "exchange",
                                       "make again", "begin copy", "end copy", "restart"};
  return std::string(kKinds[static_cast<int>(event.kind)]) + " " + kNames[event.one] + " " +
         kNames[event.other];
}

class World {
 public:
  World() {
    create_catalog(db_);
    save_checkpoint(db_, Checkpoint{});
    for (std::size_t i = 0; i < kWished; ++i) {
      MirroredTable table = absent_table(wish(i));
      save_table(db_, table);
    }
    restart();
  }

  // What is wrong after it; empty: nothing.
  std::string take(const Event& event) {
    const std::string one = kNames[event.one];
    const std::string other = kNames[event.other];
    switch (event.kind) {
      case Event::Kind::Create:
        if (server_.contains(one)) break;
        transact([&] { create(one); });
        break;
      case Event::Kind::Drop:
        if (!server_.contains(one)) break;
        transact([&] { drop(one); });
        break;
      case Event::Kind::MakeAnew:
        if (!server_.contains(one)) break;
        transact([&] { drop(one), create(one); });
        break;
      case Event::Kind::Rename:
        if (!server_.contains(one) || server_.contains(other)) break;
        transact([&] { rename(one, other); });
        break;
      case Event::Kind::Exchange:
        if (one == other || !server_.contains(one) || !server_.contains(other)) break;
        transact([&] { rename(one, "meanwhile"), rename(other, one), rename("meanwhile", other); });
        break;
      case Event::Kind::BeginCopy:
        if (!copy_) begin_copy();
        break;
      case Event::Kind::EndCopy:
        if (copy_) end_copy();
        break;
      case Event::Kind::Restart:
        restart();
        break;
    }
    return complaint();
  }

  // Where nothing more happens, copies make all that is wished for what PostgreSQL has.
  std::string settle() {
    for (int i = 0; i < 3; ++i) {
      if (!copy_) begin_copy();
      end_copy();
    }
    for (std::size_t i = 0; i < kWished; ++i) {
      const auto there = server_.find(kNames[i]);
      if (there == server_.end()) continue;
      const TrackedTable* const followed = tables_->wished_as(parse_table_name(kNames[i]));
      if (followed == nullptr) return std::string(kNames[i]) + " is not followed";
      if (followed->table.shape.oid != there->second) {
        return std::string(kNames[i]) + " is followed, as another table";
      }
    }
    return complaint();
  }

 private:
  static TableRequest wish(std::size_t i) {
    TableRequest request;
    request.table = kNames[i];
    return request;
  }

  // PostgreSQL, and the lines by which it tells.

  void transact(const std::function<void()>& change) {
    ++xid_;
    tables_->begin_transaction(xid_);
    change();
    lines_->finish({xid_});
    commit_->take({1, xid_}, {xid_});
    if (commit_->pending()) commit_->commit();
  }
  void create(const std::string& name) {
    server_[name] = ++last_oid_;
    tell(name);
  }
  void drop(const std::string& name) {
    const std::uint32_t oid = server_.at(name);
    server_.erase(name);
    touched(oid);
    const std::string text = "_table\t" + name + "\t_xid\t" + std::to_string(xid_) + "\t_oid\t" +
                             std::to_string(oid) + "\t_action\tdrop";
    lines_->take_drop(daystream::parse_change(text), {});
  }
  void rename(const std::string& from, const std::string& to) {
    server_[to] = server_.at(from);
    server_.erase(from);
    tell(to);
  }
  void tell(const std::string& name) {
    touched(server_.at(name));
    const std::string text = "_table\t" + name + "\t_xid\t" + std::to_string(xid_) + "\t_oid\t" +
                             std::to_string(server_.at(name)) +
                             "\t_identity\td\t_pkey\t1\t_ikey\t\t_action\tschema\tid\t"
                             "1 integer not null";
    lines_->take_schema(daystream::parse_change(text), {});
  }
  // A copy that runs begins again where the shape of one of its tables changes (seed/live_seed.h).
  void touched(std::uint32_t oid) {
    if (!copy_) return;
    for (auto& [name, found] : copy_->found) {
      if (found == oid) copy_->stale = true;
    }
  }

  // The mirror.

  // As after a kill: what is not in the file is forgotten.
  void restart() {
    copy_.reset();
    retries_ = Retries();
    lines_.reset();
    tables_.reset();
    commit_.emplace(db_, "");
    tables_.emplace(db_, *commit_);
    lines_.emplace(db_, *commit_, *tables_, std::nullopt);
  }

  // As owner/copies.cpp has it: what is due is looked for, all in one snapshot.
  struct Copy {
    std::map<std::string, std::uint32_t> found;  // by the name of the wish
    std::map<std::string, std::string> since;    // of all that are asked for
    std::uint64_t xid = 0;
    bool stale = false;
  };
  void begin_copy() {
    Copy copy;
    copy.xid = xid_;
    for (const MirroredTable& table : tables_->absent()) {
      if (!retries_.is_due(table)) continue;
      retries_.begin(table, {}, {});
      copy.since[table.name] = table.standing.since;
      const auto there = server_.find(table.wish.table.table);
      if (there != server_.end()) copy.found[table.name] = there->second;
    }
    if (!copy.since.empty()) copy_ = std::move(copy);
  }

  void end_copy() {
    if (!copy_) return;
    const Copy copy = *std::exchange(copy_, std::nullopt);
    if (copy.stale) return begin_copy();
    for (const auto& [name, since] : copy.since) {
      MirroredTable* const table = absent(name);
      if (table == nullptr) continue;
      const bool news =
          table->standing.state == TableState::Copying && table->standing.since != since;
      const auto found = copy.found.find(name);
      if (found != copy.found.end()) {
        install(name, found->second, copy.xid);
      } else if (!news) {
        tables_->set_absence(name, {.state = TableState::Waiting, .reason = {}, .hint = {}});
      }
    }
    if (commit_->pending()) commit_->commit();
    for (const auto& [name, since] : copy.since) {
      MirroredTable* const table = absent(name);
      if (table == nullptr) {
        retries_.placed(name);
        continue;
      }
      retries_.failed(*table);
    }
  }

  void install(const std::string& name, std::uint32_t oid, std::uint64_t xid) {
    const auto wished = std::find_if(std::begin(kNames), std::begin(kNames) + kWished,
                                     [&](const char* each) { return name == each; });
    MirroredTable table = support::followed_table(
        wish(static_cast<std::size_t>(wished - std::begin(kNames))), oid, name);
    table.standing.since = timestamp_now();
    const std::string next = std::to_string(xid + 1);
    table.seed.snapshot = MvccSnapshot::parse(next + ":" + next + ":");
    tables_->install(table, [&] {
      db_.exec("DROP TABLE IF EXISTS " + quote_name(name));
      db_.exec(create_table_sql(table, name));
    });
  }

  MirroredTable* absent(const std::string& name) {
    for (MirroredTable& table : tables_->absent()) {
      if (table.name == name) return &table;
    }
    return nullptr;
  }

  std::string complaint() {
    std::map<std::string, int> wishes;
    for (const auto& each : tables_->followed()) {
      const MirroredTable& table = each->table;
      ++wishes[table.wish.table.table];
      const auto there = server_.find(name_now(table).table);
      if (there == server_.end() || there->second != table.shape.oid) {
        return "OID " + std::to_string(table.shape.oid) + " is followed as " +
               name_now(table).table + ", which it is not";
      }
      if (!has_table(db_, table.name)) return table.name + " is followed and not in the file";
      const auto own = server_.find(table.wish.table.table);
      if (own != server_.end() && own->second != table.shape.oid) {
        return table.wish.table.table + " is there, and its wish is about another table";
      }
    }
    for (const MirroredTable& table : tables_->absent()) {
      ++wishes[table.wish.table.table];
      if (!server_.contains(table.wish.table.table)) continue;
      // Nobody should have to wait for a clock: a line has told of it.
      const bool asked = copy_ && copy_->found.contains(table.name);
      if (!asked && !retries_.is_due(table) && !(copy_ && copy_->since.contains(table.name))) {
        return table.wish.table.table + " is there, and waits until it is looked for again";
      }
    }
    for (std::size_t i = 0; i < kWished; ++i) {
      if (wishes[kNames[i]] != 1) {
        return std::string(kNames[i]) + " is wished for " + std::to_string(wishes[kNames[i]]) +
               " times";
      }
    }
    return "";
  }

  Database db_{":memory:", Database::Mode::Create};
  std::optional<MirrorCommit> commit_;
  std::optional<TableStates> tables_;
  std::optional<TableLines> lines_;
  Retries retries_;
  std::optional<Copy> copy_;
  std::map<std::string, std::uint32_t> server_;  // OIDs
  std::uint32_t last_oid_ = 100;
  std::uint64_t xid_ = 10;
};

std::string judge(const History<Event>& history) {
  World world;
  for (const Event& event : history) {
    if (std::string wrong = world.take(event); !wrong.empty()) return wrong;
  }
  return world.settle();
}

}  // namespace

TEST_CASE("simulation: what is wished for is followed, whatever becomes of tables and copies",
          "[simulation][wishes]") {
  const auto level = spdlog::get_level();
  spdlog::set_level(spdlog::level::off);  // each table that leaves is told
  // Each has a file, in memory: a hundred times what a history of numbers takes.
  CHECK(simulation::try_histories<Event>(25, draw, judge, text_of, 100) == "");
  spdlog::set_level(level);
}
