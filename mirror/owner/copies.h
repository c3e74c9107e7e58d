// The copies of tables from PostgreSQL that the owner of a mirror makes beside following: which are
// asked for, which are due, and the one that runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apply/applier.h"
#include "owner/commit_feed.h"
#include "owner/control.h"
#include "owner/engine.h"
#include "owner/retries.h"
#include "program/pauses.h"
#include "program/repeats.h"
#include "seed/live_copy.h"
#include "src/waiting.h"
#include "store/last_events.h"

namespace deltamirror {

// Tables that come from one snapshot, and are put in place in one SQLite transaction.
struct CopyJob {
  LiveSeedRequest request;
  std::vector<std::uint64_t> clients;  // to answer
  bool required = false;               // the mirror cannot go on without
  std::chrono::steady_clock::time_point not_before{};
  bool only_rows = false;  // that differ: the tables themselves may stay

  // The owner has begun it by itself: nobody waits for an answer.
  bool is_own() const noexcept { return request.unfit == Unfit::PassOver; }
};

// One copy runs at a time; what is asked for in the meantime waits for its turn.
//
// Threads: the source's, with the turn; status() any, with the turn.
// Errors:  a copy that fails is said to those who asked for it, and in the log. What step() throws
//          ends the following: a copy that it cannot go on without.
class Copies {
 public:
  // `server` to answer by, `feed` to announce changes by; nullptr: there is none.
  Copies(Database& db, const RunOptions& options, const RunControl& control, ControlServer* server,
         CommitFeed* feed);
  ~Copies() = default;  // those who asked hear it from the closed connection

  // Throws ConfigError where two tables would have one name. `client`: 0: none.
  CopyJob& ask(std::vector<TableRequest> tables, const std::string& conninfo, std::uint64_t client);
  // All tables of the source, as the stream does not lead from where the mirror is to where it is
  // now: `error` says why. Readers see all of them as they were until all are as they are now.
  // They come from PostgreSQL, or, where there is no connection, from a newer snapshot. False:
  // there is neither.
  bool ask_for_all(const daystream::Error& error);
  // The one that runs may bring the table that `error` is about: the mirror waits for it. False:
  // none runs, or it waits already.
  bool wait_for_running(const daystream::Error& error);

  // See LiveSeedRequest.
  void set_on_tables(std::function<void(const std::vector<SeedTable>&)> on_tables) {
    on_tables_ = std::move(on_tables);
  }

  // Readable: step() has something to do.
  int fd() const noexcept { return wake_.fd(); }
  // With nothing pending in `applier`; what is pending afterwards is to be committed as soon as it
  // may. True: there is more to do at once.
  bool step(Applier& applier);
  // The Applier has committed, or will never commit what it took up.
  void committed() noexcept;
  void rolled_back() noexcept;

  // Nothing may be applied before a copy is in place.
  bool stalled() const noexcept {
    return stalled_ && !(running_ && running_->stage != Running::Stage::Copying);
  }
  // Without the rest of the pauses: somebody has mended what was in the way, perhaps.
  void try_now();
  bool any() const noexcept { return running_ || !waiting_.empty(); }
  // What has to be copied is parked where there is no connection to copy it through: it may come
  // from a newer snapshot. Between commits.
  void park_uncopied(Applier& applier) const;
  // Or step() is about to begin one.
  bool any_soon(const Applier& applier) const;
  bool busy() const noexcept { return any() || !retries_.empty(); }
  // True once after each one that has come to its end.
  bool take_ended() noexcept { return std::exchange(ended_, false); }
  // What leads from a copy that is in the open transaction to a commit is known to be in the
  // stream, and comes soon.
  bool is_soon_whole() const noexcept;
  // A copy that the mirror cannot go on without has failed, and was no more to be tried.
  bool has_failed() const noexcept { return failed_; }
  void forget_failure() noexcept { failed_ = stalled_ = false; }

  // The names of the tables that are copied or are to be.
  std::vector<std::string> tables() const;
  void tell_status(nlohmann::json& status) const;

 private:
  struct Running {
    CopyJob job;
    std::unique_ptr<LiveCopy> copy;
    enum class Stage { Copying, Installing, InPlace } stage = Stage::Copying;
    std::chrono::steady_clock::time_point told{};
    std::chrono::steady_clock::time_point installed{};
    std::optional<std::chrono::steady_clock::time_point> ready_since{};  // and cannot be installed
  };
  CopyJob job_of(std::vector<TableRequest> tables, const std::string& conninfo);
  CopyJob own_job(std::vector<TableRequest> tables);
  bool is_due(const MirroredTable& table) const;
  void plan(Applier& applier);
  void hold_back(Applier& applier);
  void look_at_others(const Applier& applier);
  void note_failure(const CopyJob& job, const std::vector<TableRequest>& tables,
                    Retries::From from);
  void wait_for_snapshot(const daystream::Error& error, const CopyJob& job);
  void stall(const daystream::Error& error, CopyJob job);
  std::deque<CopyJob>::iterator next_due();
  void try_later(CopyJob job, daystream::program::Pauses& pauses);
  void wait_for_place(const daystream::Error& error, CopyJob job);
  void leave_out_removed(std::vector<TableRequest>& tables) const;
  bool can_mend(const CopyJob& job) const;
  void start(const std::deque<CopyJob>::iterator& next, const Applier& applier);
  void start(const Checkpoint& at);
  void say_try(const std::string& what);
  bool step_running(Applier& applier);
  bool may_install(const Applier& applier) const;
  void install(Applier& applier);
  void finish(const Applier& applier);
  std::string shown_name_of(const TableProblem& problem) const;
  void say_problems() const;
  void let_go(const CopyJob& job) const;
  AfterError after_failure() const noexcept;
  void fail(const daystream::Error& error);
  void tell_progress();
  void say_what_it_waits_for(const Applier& applier);
  void drop_shadows();

  Database& db_;
  const RunOptions& options_;
  const RunControl& control_;
  ControlServer* const server_;
  CommitFeed* const feed_;
  std::function<void(const std::vector<SeedTable>&)> on_tables_;
  const std::shared_ptr<NewerSnapshot> newer_;  // nullptr: none is on offer, or none is needed
  daystream::AnyOf wake_;
  std::deque<CopyJob> waiting_;
  std::optional<Running> running_;
  Retries retries_;
  // Of copies that wait for something else than their tables, until one is in place.
  struct Waits {
    daystream::program::Repeats said = {};
    daystream::program::Repeats tries = {};  // and until it has all of its tables
    // Between looks whether there is a place for a copy: hundreds may look.
    daystream::program::Pauses for_place{std::chrono::seconds(1), std::chrono::seconds(5)};
    daystream::program::Pauses for_server = daystream::program::Pauses();  // whether it is there
  };
  Waits waits_;
  bool stalled_ = false;
  bool failed_ = false;
  bool ended_ = false;
};

}  // namespace deltamirror
