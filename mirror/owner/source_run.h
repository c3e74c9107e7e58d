// One source of a mirror that is followed: its thread, which reads the daystream, applies, commits,
// and begins again after what trying again can mend.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "owner/commit_feed.h"
#include "owner/control.h"
#include "owner/engine.h"
#include "owner/lag_report.h"
#include "owner/owner_work.h"
#include "owner/write_turn.h"
#include "program/repeats.h"
#include "src/waiting.h"
#include "store/last_events.h"
#include "store/wal_keeper.h"

namespace deltamirror {

// What the sources of a mirror share. `db` and what works on it are used only by who has the turn.
struct Shared {
  // `said`: what the tries before this one have said.
  Shared(const RunOptions& options, const RunControl& with, Database& mirror,
         daystream::program::Repeats& said);

  const RunControl& control;
  Database& db;
  WalKeeper keeper;
  WriteTurn turn;
  std::unique_ptr<ControlServer> server;  // nullptr: nobody can ask
  std::unique_ptr<CommitFeed> feed;       // nullptr: nobody listens
  std::atomic<bool> paused = false;       // all stand still at a commit
  std::atomic<bool> several = false;      // log lines say which source they are about
  bool has_watchdog = false;
  daystream::WakeFd news;  // readable: a source has begun, or has ended
};

// What comes from outside and may be over by itself: a server that is away, a lock that somebody
// else holds, a disk that is full, descriptors that are used up. `run` waits for its end.
// `has_begun`: it was had before, so that a refusal may pass, too.
bool may_pass(const daystream::Error& error, bool has_begun) noexcept;

class SourceRun {
 public:
  SourceRun(Shared& shared, RunOptions options);
  SourceRun(const SourceRun&) = delete;
  SourceRun& operator=(const SourceRun&) = delete;
  ~SourceRun();  // waits for the thread, which must have been asked to stop

  const std::string& name() const noexcept { return options_.source; }
  void start();
  // From the thread that owns all; each wakes the source's own.
  void stop() noexcept;
  void hear(SourceRequest request);
  void hear_reload(std::shared_ptr<const MirrorConfig> config);
  void wake() noexcept;

  bool has_begun() const noexcept { return begun_; }  // it has come to follow, since start()
  bool has_ended() const noexcept { return ended_; }
  // After has_ended(): why; nullptr: it was done, or asked to stop.
  std::exception_ptr join();
  // For a watchdog: the thread has said since the last call that it lives. One that reads from a
  // server may wait for that as long as it takes.
  bool is_alive() noexcept;
  // With the turn.
  nlohmann::json status() const { return work_.status(); }

  // For its thread alone.
  const RunOptions& options() const noexcept { return options_; }
  Shared& shared() noexcept { return shared_; }
  OwnerWork& work() noexcept { return work_; }
  LagReport& lag() noexcept { return lag_; }
  std::string label() const;  // what log lines about the source begin with
  // Also says that the thread lives: it is to be asked about once a second.
  bool stop_requested() noexcept;
  int wake_fd() const noexcept { return wake_.fd(); }  // readable: there may be something to do
  void woken() noexcept { nudge_.clear(); }
  int nudge_fd() const noexcept { return nudge_.fd(); }  // see WriteTurn
  bool is_remote() const noexcept { return is_remote_; }
  bool is_paused() const noexcept { return shared_.paused; }
  void set_begun() noexcept;

 private:
  void run() noexcept;
  struct Tries;
  void follow();
  bool follow_once(Tries& tries);
  bool wait_out(const daystream::Error& trouble, Tries& tries);
  void take_over(const daystream::Error& error);
  void remember(const daystream::Error& error, AfterError after);
  template <typename Act>
  auto in_turn(const Act& act) {
    const HavingTurn turn(shared_.turn, nudge_.fd());
    return act();
  }
  bool wait_while_paused();
  bool is_away(const daystream::Error& error) const noexcept;
  bool pause(std::chrono::milliseconds length);
  std::string tables_to_ask_for(const std::vector<std::string>& seen) const;
  std::string what_copies() const;

  Shared& shared_;
  const RunOptions options_;
  const bool is_remote_;
  const daystream::WakeFd nudge_;
  OwnerWork work_;
  LagReport lag_;
  const daystream::AnyOf wake_;
  std::jthread thread_;
  std::exception_ptr error_;
  std::stop_source stopping_;
  std::atomic<bool> begun_ = false;
  std::atomic<bool> ended_ = true;
  std::atomic<bool> heard_ = false;
};

}  // namespace deltamirror
