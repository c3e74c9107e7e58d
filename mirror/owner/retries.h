// When tables that could not be copied are tried again.
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daystream/position.h"
#include "store/mirrored_table.h"

namespace deltamirror {

// After pauses that grow from 1 s to 5 min, each table by itself; at once, and then after short
// pauses again, when its state has changed meanwhile, as MirroredTable::since says, or what it must
// fit. A table that a line of the stream puts out again soon after it was copied waits for such a
// pause, too: another copy would most likely end the same way.
class Retries {
 public:
  using Clock = std::chrono::steady_clock;

  // What a try was to have the table from.
  enum class From {
    PostgreSQL,
    Snapshot,   // whether there is a newer one is soon asked
    NoSnapshot  // nobody offers any, or not to us
  };

  Retries() = default;
  explicit Retries(Clock::time_point (*now)()) : now_(now) {}

  bool is_due(const MirroredTable& table) const {
    const auto found = tries_.find(table.name);
    return found == tries_.end() || found->second.since != table.standing.since ||
           now_() >= found->second.next;
  }
  // As it is now.
  bool has_failed(const std::string& name) const {
    const auto found = tries_.find(name);
    return found != tries_.end() && found->second.pause.count() != 0;
  }
  bool empty() const noexcept { return tries_.empty(); }

  // `others`: shape_of_others() of it. `at`: where the mirror is. Returns where it was when it was
  // tried first since the table is as it is now.
  daystream::Position begin(const MirroredTable& table, std::string others,
                            daystream::Position at) {
    const std::string& since = table.standing.since;
    Try& again = tries_[table.name];
    if (again.since != since) again = {.since = since, .snapshot = again.snapshot};
    if (again.at == daystream::Position{}) again.at = at;
    again.others = std::move(others);
    return again.at;
  }
  // At what others have: not after each commit.
  bool is_time_to_look() {
    const bool is_time = now_() >= next_look_;
    if (is_time) next_look_ = now_() + kBetweenLooks;
    return is_time;
  }
  // Of one that waits for its next try.
  void look(const MirroredTable& table, const std::string& others) {
    const auto found = tries_.find(table.name);
    if (found == tries_.end() || found->second.others == others) return;
    found->second = {.since = found->second.since, .others = others, .at = found->second.at};
  }
  // The try has ended without it. `snapshot`: the id of what it was not to be had from.
  void failed(const MirroredTable& table, From from = From::PostgreSQL,
              const std::string& snapshot = {}) {
    const auto [place, is_first] = tries_.try_emplace(table.name);
    Try& again = place->second;
    const bool changed = std::exchange(again.since, table.standing.since) != table.standing.since;
    if (changed) again.at = {};
    if (from != From::PostgreSQL) again.snapshot = snapshot;
    // A line has told of it since begin(): it may be there now.
    if (changed && !is_first && table.standing.state == TableState::Copying) return;
    const auto longest = from == From::Snapshot ? kLongestForSnapshot : kLongestPause;
    again.pause = std::clamp(again.pause * 2, kShortestPause, longest);
    again.next = now_() + again.pause;
  }
  // The snapshot that the table was not to be had from: nor is it then after what came later.
  // Empty: none.
  std::string snapshot_of(const std::string& name) const {
    const auto found = tries_.find(name);
    return found == tries_.end() ? std::string() : found->second.snapshot;
  }
  // Somebody says that what was in the way may be gone: all are due.
  void try_now() {
    for (auto& [name, again] : tries_) {
      again.pause = {};
      again.next = {};
    }
  }
  // The copy of it is in place.
  void placed(const std::string& name) {
    const auto pause = tries_[name].pause;
    tries_[name] = {.pause = pause, .placed = now_()};
  }
  // Whether a row put it out again so soon after that it has to wait, as is_due() says from then
  // on. To be asked of each table that is to be copied; true once. `of_row`: that is why it is.
  bool must_wait(const MirroredTable& table, bool of_row) {
    const auto found = tries_.find(table.name);
    if (found == tries_.end() || !found->second.placed) return false;
    const bool is_soon = now_() - *found->second.placed < kLongestPause;
    if (!is_soon || !of_row) {
      tries_.erase(found);
      return false;
    }
    Try& again = found->second;
    again.placed.reset();
    again.pause = std::clamp(again.pause * 2, kShortestPause, kLongestPause);
    again.next = now_() + again.pause;
    return true;
  }
  // Its state was changed to say that it waits.
  void waits(const MirroredTable& table) { tries_[table.name].since = table.standing.since; }
  void forget_all_but(const std::vector<MirroredTable>& tables) {
    std::erase_if(tries_, [&](const auto& each) {
      if (each.second.placed && now_() - *each.second.placed < kLongestPause) return false;
      return std::none_of(tables.begin(), tables.end(),
                          [&](const MirroredTable& table) { return table.name == each.first; });
    });
  }

 private:
  static constexpr std::chrono::seconds kShortestPause{1};
  static constexpr std::chrono::seconds kLongestPause{300};
  static constexpr std::chrono::seconds kLongestForSnapshot{15};
  static constexpr std::chrono::seconds kBetweenLooks{1};
  struct Try {
    std::string since = {};   // MirroredTable::since when it was tried
    std::string others = {};  // and what it had to fit then
    daystream::Position at = {};
    std::string snapshot = {};
    Clock::time_point next{};
    std::chrono::seconds pause{0};
    std::optional<Clock::time_point> placed = {};  // it is followed since then
  };
  std::map<std::string, Try> tries_;  // by the table's name in SQLite
  Clock::time_point next_look_{};
  Clock::time_point (*now_)() = Clock::now;
};

}  // namespace deltamirror
