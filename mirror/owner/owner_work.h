// What the owner of a mirror does beside following: seeds tables into it, takes tables and indexes
// away, hears requests and reads its configuration again.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apply/applier.h"
#include "apply/needs_reseed.h"
#include "owner/commit_feed.h"
#include "owner/control.h"
#include "owner/engine.h"
#include "seed/live_copy.h"

namespace deltamirror {

// A request about one source's tables.
struct SourceRequest {
  std::uint64_t client = 0;  // to answer
  nlohmann::json asked;
};

// Lives as long as its source is followed; Appliers come and go under it.
//
// Threads: the source's, with the turn, but hear() and hear_reload(); status() any, with the turn.
//
// Errors: a request that fails is told to who asked, and in the log, and the mirror goes on. What
//         step() throws ends it: work that it cannot go on without.
class OwnerWork {
 public:
  // `server` to answer by, `feed` to tell of changes by; nullptr: there is none.
  OwnerWork(Database& db, const RunOptions& options, const RunControl& control,
            ControlServer* server, CommitFeed* feed);
  ~OwnerWork();

  // For the next step(), which whoever calls sees to.
  void hear(SourceRequest request);
  void hear_reload() noexcept { heard_reload_ = true; }
  // What has ended it before is tried again.
  void forget_failure() noexcept { failed_ = stalled_ = false; }

  // Readable: step() has something to do.
  int fd() const noexcept { return epoll_.get(); }
  // With nothing pending in `applier`; what is pending afterwards is to be committed as soon as it
  // may. True: there is more to do at once.
  bool step(Applier& applier);

  // Nothing may be applied before a table is copied anew.
  bool stalled() const noexcept { return stalled_ && !installed_; }
  // The Applier has committed, or will never commit what it took up.
  void committed(const Checkpoint& at);
  void rolled_back() noexcept;
  bool busy() const noexcept { return seed_ != nullptr || !waiting_.empty() || !tries_.empty(); }
  // Tables are being copied, or step() is about to begin with some.
  bool has_copies(const Applier& applier) const;
  // As the command line says, or else the configuration that was taken last.
  OnTrouble on_trouble() const noexcept { return on_trouble_; }
  // step() would do something at once, or has to look.
  bool has_work() const noexcept {
    return busy() || read_config_ || heard_reload_ || heard_requests_;
  }
  // The names of the tables that are being copied, or are to be.
  std::vector<std::string> tables_to_come() const;
  nlohmann::json status() const;

  // An Applier has failed with `error`. True: a table is copied anew, or is about to be in place,
  // and then it may succeed: go on with a new Applier, once no longer stalled().
  bool take_over(const daystream::Error& error);

 private:
  bool copying() const noexcept { return seed_ != nullptr || !waiting_.empty(); }
  struct Job {
    LiveSeedRequest request;
    std::vector<std::uint64_t> clients;        // to answer
    bool required = false;                     // the mirror cannot go on without
    bool only_rows = false;                    // that differ: the tables themselves may stay
    std::map<std::string, std::string> since;  // MirroredTable::since of absent ones, by name
  };
  // When a table that is not followed is tried next.
  struct Try {
    std::chrono::steady_clock::time_point next{};
    std::chrono::seconds pause{0};
    std::string since;  // MirroredTable::since when it was tried: another one is news
  };

  std::optional<SourceRequest> next_request();
  void handle(const SourceRequest& request, Applier& applier);
  void add_tables(const SourceRequest& request);
  void reseed_tables(const SourceRequest& request);
  void remove_tables(const SourceRequest& request, Applier& applier);
  void reload(Applier& applier);
  MirrorConfig wanted_config() const;
  void change_indexes(const MirroredTable& table, const TableRequest& wanted);
  Job& want(std::vector<TableRequest> tables, const std::string& conninfo, std::uint64_t client);
  bool can_mend(const Job& job) const;
  bool keep_as_it_was(const NeedsReseed& trouble);
  bool copy_all(const daystream::Error& error, bool from_its_seam);
  void stall(const daystream::Error& error, Job job);
  void start_seed(const Checkpoint& at);
  const std::string& connection(const std::optional<std::string>& given) const;
  Job own_job() const;
  void plan_copies(Applier& applier);
  bool is_due(const MirroredTable& table) const;
  void note_failure(const Job& job, const std::vector<TableRequest>& tables);
  void start_next(const Applier& applier);
  bool seed_step(Applier& applier);
  void finish_seed(const Applier& applier);
  void fail_seed(const daystream::Error& error);
  void drop_shadows();
  void watch(int fd);
  void tell_progress();

  Database& db_;
  const RunOptions& options_;
  const RunControl& control_;
  daystream::UniqueFd epoll_;
  ControlServer* const server_;
  CommitFeed* const feed_;
  std::mutex heard_mutex_;
  std::deque<SourceRequest> heard_;
  std::atomic<bool> heard_requests_ = false;
  std::atomic<bool> heard_reload_ = false;
  std::deque<Job> waiting_;
  std::optional<Job> job_;  // what seed_ is for
  std::unique_ptr<LiveCopy> seed_;
  std::vector<std::string> extra_sql_;  // to be run once the tables are there
  bool read_config_ = false;
  OnTrouble on_trouble_ = OnTrouble::Hide;
  bool installed_ = false;  // in a transaction that may not be committed yet
  bool stalled_ = false;
  bool failed_ = false;
  std::chrono::steady_clock::time_point try_again_{};
  std::map<std::string, Try> tries_;  // by the table's name in SQLite
  std::string failure_;               // that was said last
  std::chrono::steady_clock::time_point failure_said_{};
  std::chrono::steady_clock::time_point told_{};
};

}  // namespace deltamirror
