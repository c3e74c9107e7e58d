// Seeds tables into a mirror that its owner goes on following.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apply/applier.h"
#include "apply/catch_up.h"
#include "config/config.h"
#include "program/program.h"
#include "seed/live_copy.h"
#include "seed/live_source.h"
#include "seed/shadow_load.h"

namespace deltamirror {

// 1. All tables come from one snapshot, into shadows in the mirror itself, in SQLite transactions
//    of at most about 50 ms, between those of the replay.
// 2. They are caught up to where the mirror is by the rule of every seed.
// 3. In one SQLite transaction they take the place of what had their names. From there on they are
//    tables like all others: what their snapshot sees is not applied again, and nothing is
//    committed before the mirror is at `consistent_at`.
//
// Killed at any time, it leaves shadows at most: Shadow::drop_left_over(). A table that changes its
// shape meanwhile is loaded again.
class LiveSeed : public LiveCopy {
 public:
  LiveSeed(Database& db, LiveSeedRequest request, const Checkpoint& mirror,
           const daystream::program::Signals& signals);
  ~LiveSeed() override;

  int fd() const noexcept override { return source_->fd(); }
  bool step(const Checkpoint& at) override;
  bool ready() const noexcept override { return stage_ == Stage::Ready; }
  void install(Applier& applier) override;

  daystream::Lsn consistent_at() const noexcept override { return facts_.consistent_at; }
  std::int64_t taken_us() const noexcept override { return facts_.taken_us; }
  std::uint64_t rows() const noexcept override { return load_ ? load_->rows() : 0; }
  double expected_rows() const noexcept override;
  std::uint64_t written() const noexcept override { return rows(); }
  const std::vector<TableProblem>& problems() const noexcept override { return problems_; }
  bool replaces_tables() const noexcept override { return true; }

 private:
  enum class Stage { Waiting, Copying, CatchingUp, Ready };
  void start();
  bool copy_step(std::chrono::steady_clock::time_point deadline);
  void take_snapshot(LiveSnapshot facts);
  void start_again(const std::string& why);
  void leave_out(const CopyFailed& failed);
  std::optional<CopyFailed> why_unfit(const MirroredTable& table) const;
  bool is_news(const Applier& applier, const std::string& name) const;

  Database& db_;
  LiveSeedRequest request_;
  const std::string system_identifier_;
  const daystream::program::Signals& signals_;
  std::unique_ptr<LiveSource> source_;
  Stage stage_ = Stage::Waiting;
  LiveSnapshot facts_;
  std::optional<ShadowLoad> load_;  // of the tables of facts_
  std::optional<CatchUp> catch_up_;
  int starts_ = 0;
  std::map<std::string, std::string> since_;  // MirroredTable::since at the start, by name
  std::vector<TableProblem> failed_;          // in the middle of their copy: left out since
  std::vector<TableProblem> problems_;        // these, and those that the session passed over
};

}  // namespace deltamirror
