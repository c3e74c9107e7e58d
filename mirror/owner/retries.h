// When tables that could not be copied are tried again.
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "store/mirrored_table.h"

namespace deltamirror {

// After pauses that grow from 1 s to 5 min, each table by itself; at once, and then after short
// pauses again, when its state has changed meanwhile, as MirroredTable::since says.
class Retries {
 public:
  bool is_due(const MirroredTable& table) const {
    const auto found = tries_.find(table.name);
    return found == tries_.end() || found->second.since != table.since ||
           Clock::now() >= found->second.next;
  }
  // As it is now.
  bool has_failed(const std::string& name) const {
    const auto found = tries_.find(name);
    return found != tries_.end() && found->second.pause.count() != 0;
  }
  bool empty() const noexcept { return tries_.empty(); }

  void begin(const MirroredTable& table) {
    Try& again = tries_[table.name];
    if (again.since != table.since) again = {.since = table.since};
  }
  // The try has ended without it.
  void failed(const MirroredTable& table) {
    const auto [place, is_first] = tries_.try_emplace(table.name);
    Try& again = place->second;
    const bool changed = std::exchange(again.since, table.since) != table.since;
    // A line has told of it since begin(): it may be there now.
    if (changed && !is_first && table.state == TableState::Copying) return;
    again.pause = std::clamp(again.pause * 2, kShortestPause, kLongestPause);
    again.next = Clock::now() + again.pause;
  }
  void forget(const std::string& name) { tries_.erase(name); }
  void forget_all_but(const std::vector<MirroredTable>& tables) {
    std::erase_if(tries_, [&](const auto& each) {
      return std::none_of(tables.begin(), tables.end(),
                          [&](const MirroredTable& table) { return table.name == each.first; });
    });
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kShortestPause{1};
  static constexpr std::chrono::seconds kLongestPause{300};
  struct Try {
    std::string since = {};  // MirroredTable::since when it was tried
    Clock::time_point next{};
    std::chrono::seconds pause{0};
  };
  std::map<std::string, Try> tries_;  // by the table's name in SQLite
};

}  // namespace deltamirror
