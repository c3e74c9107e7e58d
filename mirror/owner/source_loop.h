// From a daystream into a mirror: the loop of one source.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "apply/applier.h"
#include "apply/holding.h"
#include "owner/source_reader.h"
#include "owner/source_run.h"

namespace deltamirror {

// When nothing wakes us: the first is the watchdog's.
inline constexpr std::chrono::milliseconds kShortSleep{1000};
inline constexpr std::chrono::milliseconds kLongSleep{60'000};

// How many source transactions may share one SQLite commit.
enum class Batches {
  Large,  // many while behind
  Single  // each its own until caught up, so that the file ends right before one that fails
};

// See SourceLoop::withdraw(): to begin again is all that is to be done.
class Withdrawn : public daystream::Error {
 public:
  Withdrawn() : Error("the daystream does not reach to where the seed is consistent yet") {}
};

// Reads one source's daystream and applies it, from the mirror's checkpoint on, until what cannot
// be gone on with by itself. One is made again after each such failure.
//
// Lifetime: borrows the source; the thread is the source's.
// Turns:    takes the turn where it uses the database, and gives it back at each commit; holds none
//           while it waits. Destroying it rolls back what is not committed.
class SourceLoop {
 public:
  // `checkpoint`: where it is. `asked`: the tables whose rows a server is to send
  // (apply/asked_tables.h); empty: all.
  SourceLoop(SourceRun& source, Batches batches, Checkpoint checkpoint, const std::string& asked)
      : source_(source),
        options_(source.options()),
        batch_{.size = batches},
        checkpoint_(std::move(checkpoint)),
        stream_(options_, asked) {
    try {
      stream_.open(checkpoint_);
    } catch (const StreamGap&) {
      if (!source_.work().copies().stalled()) throw;  // else it stalls for just that
    }
  }
  SourceLoop(const SourceLoop&) = delete;
  SourceLoop& operator=(const SourceLoop&) = delete;
  // What is not committed is rolled back.
  ~SourceLoop() {
    take_turn();
    applier_.reset();
    source_.work().rolled_back();
    source_.shared().keeper.set_backlog(source_.name(), 0);
    give_turn();
  }

  void begin();
  // `again`: what it says of where it begins was said just before.
  void run(bool again);
  bool committed_anything() const noexcept {
    return applier_->committed().position != checkpoint_.position;
  }
  // Whether the failure of one transaction has taken whole ones before it along.
  bool lost_whole_transactions() const noexcept {
    return batch_.size == Batches::Large && batch_.transactions > 0;
  }

 private:
  // What goes into one SQLite commit.
  struct Batch {
    Batches size = Batches::Large;
    std::uint64_t transactions = 0;  // of the source, applied since the commit before
    std::chrono::steady_clock::time_point began{};
  };
  std::optional<daystream::Holding> current_holding(const daystream::Manifest& manifest) const {
    const daystream::Holding* found = manifest.holding_at(checkpoint_.position);
    if (found == nullptr) return std::nullopt;
    return *found;
  }
  void check_source(const daystream::Manifest& manifest) const;
  // A table that was copied meanwhile may need more than that to be at a commit with the others.
  bool past_end(const daystream::Transaction& transaction) const {
    return options_.end.until && transaction.lsn() > *options_.end.until && applier_->may_commit();
  }
  bool at_end() const {
    return options_.end.until && applier_->reached().lsn >= *options_.end.until &&
           applier_->may_commit();
  }
  void take_turn() {
    if (has_turn_) return;
    turn_.take(source_.nudge_fd());
    has_turn_ = true;
  }
  void give_turn() noexcept {
    if (!has_turn_ || (applier_ != nullptr && applier_->pending())) return;
    has_turn_ = false;
    turn_.give();
  }
  bool wanted() const noexcept { return has_turn_ && turn_.wanted(); }
  bool batch_is_full() const;
  daystream::Transaction* next();
  void withdraw();
  bool work(bool idle);
  bool take_next();
  void commit();
  void look_at_server();
  void went_on();
  void sleep();
  void report();

  SourceRun& source_;
  const RunOptions& options_;
  Database& db_ = source_.shared().db;
  WriteTurn& turn_ = source_.shared().turn;
  Batch batch_;
  const Checkpoint checkpoint_;
  SourceReader stream_;
  std::unique_ptr<Applier> applier_;
  bool has_turn_ = false;
  bool went_on_ = false;
  std::optional<daystream::Away> away_;  // as it was remembered last
  daystream::program::AtMostEvery backlog_looks_{std::chrono::seconds(1)};
  std::chrono::steady_clock::time_point next_look_{};
  std::chrono::steady_clock::time_point reported_ = std::chrono::steady_clock::now();
};

}  // namespace deltamirror
