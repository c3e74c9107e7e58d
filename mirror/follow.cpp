#include "follow.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>

#include "applier.h"
#include "daystream/reader.h"
#include "holding.h"
#include "mirror_file.h"
#include "owner.h"
#include "wal_keeper.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Reader;
using daystream::Transaction;
using daystream::WrongSource;
using std::chrono::steady_clock;

namespace {

// While behind, so much at most goes into one SQLite commit: enough that commits cost little, and
// little enough that readers see movement and a kill repeats little work.
constexpr std::uint64_t kBatchChanges = 20'000;
constexpr std::uint64_t kBatchBytes = 16ull << 20;
constexpr std::chrono::milliseconds kBatchTime{200};
constexpr std::chrono::seconds kBetweenReports{60};

// How many source transactions may share one SQLite commit.
enum class Batches {
  Large,  // many while behind
  Single  // each its own until caught up, so that the file ends right before one that fails
};

class Follower {
 public:
  Follower(const FollowOptions& options, const FollowControl& control, Batches batches)
      : options_(options),
        control_(control),
        batches_(batches),
        db_(open_owned(options.mirror)),
        checkpoint_(load_checkpoint(db_)),
        reader_(options.daystream, {checkpoint_.position, checkpoint_.lsn}),
        applier_(db_, current_holding(), control.stop_requested),
        keeper_(db_) {
    check_source();
  }

  void run();
  // Whether the failure of one transaction has taken whole ones before it along.
  bool lost_whole_transactions() const noexcept { return uncommitted_ > 0; }

 private:
  std::optional<daystream::Holding> current_holding() const {
    const daystream::Holding* found = holding_at(reader_.manifest(), checkpoint_.position);
    if (found == nullptr) return std::nullopt;
    return *found;
  }
  void check_source() const;
  bool past_end(const Transaction& transaction) const {
    return options_.until && transaction.lsn() > *options_.until;
  }
  bool at_end() const { return options_.until && applier_.reached().lsn >= *options_.until; }
  bool batch_is_full() const;
  void commit();
  void report();

  const FollowOptions& options_;
  const FollowControl& control_;
  Batches batches_;
  Database db_;
  const Checkpoint checkpoint_;
  Reader reader_;
  Applier applier_;
  WalKeeper keeper_;
  std::uint64_t uncommitted_ = 0;  // source transactions applied since the last SQLite commit
  steady_clock::time_point batch_began_{};
  steady_clock::time_point reported_ = steady_clock::now();
};

void Follower::check_source() const {
  const daystream::Manifest& manifest = reader_.manifest();
  if (!manifest.system_identifier.empty() &&
      manifest.system_identifier != checkpoint_.system_identifier) {
    throw WrongSource(
        fmt::format("daystream \"{}\" is of another cluster (system identifier {}) than mirror "
                    "\"{}\" (system identifier {})",
                    options_.daystream.string(), manifest.system_identifier, options_.mirror,
                    checkpoint_.system_identifier),
        "name the daystream that the mirror was seeded with");
  }
  if (!manifest.database.empty() && manifest.database != checkpoint_.database) {
    throw WrongSource(fmt::format("daystream \"{}\" is of database \"{}\", mirror \"{}\" of \"{}\"",
                                  options_.daystream.string(), manifest.database, options_.mirror,
                                  checkpoint_.database),
                      "name the daystream that the mirror was seeded with");
  }
  if (options_.until && *options_.until < checkpoint_.consistent_at &&
      checkpoint_.lsn < checkpoint_.consistent_at) {
    throw ConfigError(fmt::format("cannot stop at {}: the seed saw transactions up to {}",
                                  options_.until->text(), checkpoint_.consistent_at.text()),
                      "give --until-lsn a later place");
  }
}

bool Follower::batch_is_full() const {
  return batches_ == Batches::Single || applier_.pending_changes() >= kBatchChanges ||
         applier_.pending_bytes() >= kBatchBytes ||
         steady_clock::now() - batch_began_ >= kBatchTime;
}

void Follower::commit() {
  if (!applier_.pending() || !applier_.may_commit()) return;
  applier_.commit();
  uncommitted_ = 0;
  keeper_.after_commit();
  if (steady_clock::now() - reported_ >= kBetweenReports) report();
}

void Follower::report() {
  reported_ = steady_clock::now();
  const Checkpoint& at = applier_.committed();
  spdlog::info("applied {} position={} transactions={} changes={} backlog_bytes={}", at.lsn.text(),
               at.position.text(), applier_.applied_transactions(), applier_.applied_changes(),
               reader_.backlog_bytes());
}

void Follower::run() {
  spdlog::info("following \"{}\" from {} ({}), {} tables", options_.daystream.string(),
               checkpoint_.position.text(), checkpoint_.lsn.text(), applier_.table_count());
  while (!control_.stop_requested() && !at_end()) {
    Transaction* const transaction = reader_.next();
    if (transaction == nullptr) {
      commit();
      batches_ = Batches::Large;
      if (options_.once) break;
      reader_.wait(std::chrono::minutes(1), control_.wake_fd);
      continue;
    }
    if (past_end(*transaction)) break;
    if (!applier_.pending()) batch_began_ = steady_clock::now();
    if (!applier_.apply(*transaction)) break;
    ++uncommitted_;
    if (batch_is_full()) commit();
  }
  commit();
  if (applier_.committed().lsn < applier_.committed().consistent_at) {
    spdlog::info("the mirror is as its seed saw PostgreSQL: the daystream ends before {}",
                 applier_.committed().consistent_at.text());
  }
  report();
}

}  // namespace

void follow(const FollowOptions& options, const FollowControl& control) {
  // Before the lock, as a lock file beside no mirror would only puzzle.
  static_cast<void>(open_for_reading(options.mirror));
  const Owner owner(options.mirror);
  {
    Follower follower(options, control, Batches::Large);
    try {
      follower.run();
      return;
    } catch (const daystream::Error&) {
      if (!follower.lost_whole_transactions()) throw;
    }
  }
  // They went back with the one that failed: apply them again one by one, to fail at that very
  // place. The first Follower is gone, as a mirror has one connection that writes.
  Follower(options, control, Batches::Single).run();
}

}  // namespace deltamirror
