// The tables that an Applier follows, by the name that lines call them and by OID.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apply/history_writer.h"
#include "apply/table_plan.h"
#include "store/mirrored_table.h"

namespace deltamirror {

// As lines call it.
QualifiedName name_now(const MirroredTable& table);

struct TrackedTable {
  MirroredTable table;
  std::unique_ptr<TablePlan> plan;  // or, of a history:
  std::unique_ptr<HistoryWriter> history;
  bool skip = false;             // in the current transaction: the seed has it already
  bool needs_rewrite = false;    // in the current transaction: values read otherwise
  std::string meaning;           // then: why
  std::string final_name;        // in SQLite, once the transaction is at its end; empty: as it is
  std::uint64_t generation = 0;  // of the transaction that `skip` is about
  bool changed = false;          // which the last events do not say yet

  void drop_plan() noexcept {
    plan.reset();
    history.reset();
  }
};

// Ownership: owns the tables; pointers to them are valid until they are removed.
class TrackedTables {
 public:
  TrackedTable& add(std::unique_ptr<TrackedTable> table);
  // Gives it back, without its plan.
  std::unique_ptr<TrackedTable> remove(TrackedTable& table);
  // `table` is called otherwise now; `before`: as lines called it.
  void renamed(TrackedTable& table, const std::string& before);

  // nullptr: there is none. `raw`: as lines spell it; one name after the other is mostly the same.
  TrackedTable* by_line_name(std::string_view raw);
  TrackedTable* by_oid(std::uint32_t oid) noexcept;
  TrackedTable* by_name(std::string_view name) noexcept;  // in SQLite

  auto begin() const noexcept { return tables_.begin(); }
  auto end() const noexcept { return tables_.end(); }
  std::size_t size() const noexcept { return tables_.size(); }

 private:
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const noexcept {
      return std::hash<std::string_view>{}(s);
    }
  };
  void forget_last() noexcept;

  std::vector<std::unique_ptr<TrackedTable>> tables_;
  std::unordered_map<std::string, TrackedTable*, NameHash, std::equal_to<>> by_line_name_;
  std::string last_name_;  // what by_line_name() was asked last
  TrackedTable* last_ = nullptr;
};

}  // namespace deltamirror
