// Seeds tables into a mirror that its owner goes on following.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "applier.h"
#include "catch_up.h"
#include "config.h"
#include "live_source.h"
#include "program/program.h"
#include "shadow.h"

namespace deltamirror {

struct LiveSeedRequest {
  std::string conninfo;
  std::filesystem::path daystream;
  MirrorConfig config;  // only its tables
};

// 1. All tables come from one snapshot, into shadows in the mirror itself, in SQLite transactions
//    of at most about 50 ms, between those of the replay.
// 2. They are caught up to where the mirror is by the rule of every seed.
// 3. In one SQLite transaction they take the place of what had their names. From there on they are
//    tables like all others: what their snapshot sees is not applied again, and nothing is
//    committed before the mirror is at `consistent_at`.
//
// Killed at any time, it leaves shadows at most: Shadow::drop_left_over(). A table that changes its
// shape meanwhile is loaded anew.
//
// Errors: step() throws what seeds throw; the object is then of no more use.
class LiveSeed {
 public:
  LiveSeed(Database& db, LiveSeedRequest request, const Checkpoint& mirror,
           const daystream::program::Signals& signals);
  ~LiveSeed();

  const LiveSeedRequest& request() const noexcept { return request_; }
  int fd() const noexcept { return source_->fd(); }

  // With no SQLite transaction open, and the mirror at `at`. True: there is more to do at once;
  // else fd() tells when.
  bool step(const Checkpoint& at);
  // All is there and caught up to where the last step() was told that the mirror is.
  bool ready() const noexcept { return stage_ == Stage::Ready; }
  // Only with ready(), before anything else is applied. Opens the transaction of `applier`.
  void install(Applier& applier);

  // What install() will bring.
  daystream::Lsn consistent_at() const noexcept { return facts_.consistent_at; }
  std::uint64_t rows() const noexcept { return rows_; }
  double expected_rows() const noexcept;  // estimated by PostgreSQL; below 0: not known

 private:
  enum class Stage { Waiting, Copying, CatchingUp, Ready };
  void start();
  bool copy_step(std::chrono::steady_clock::time_point deadline);
  void take_snapshot(LiveSnapshot facts);
  bool load(std::chrono::steady_clock::time_point deadline);
  void start_again(const std::string& why);

  Database& db_;
  const LiveSeedRequest request_;
  const std::string system_identifier_;
  const daystream::program::Signals& signals_;
  std::unique_ptr<LiveSource> source_;
  Stage stage_ = Stage::Waiting;
  LiveSnapshot facts_;
  std::vector<std::unique_ptr<Shadow>> shadows_;  // one a table
  std::optional<CatchUp> catch_up_;
  std::optional<LiveRows> batch_;  // being loaded
  std::size_t next_row_ = 0;       // in it
  std::size_t loading_ = 0;        // the table that insert_ is about
  Statement insert_;
  std::uint64_t rows_ = 0;
  int starts_ = 0;
};

}  // namespace deltamirror
