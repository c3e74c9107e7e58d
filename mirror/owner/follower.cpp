#include "owner/follower.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "apply/same_source.h"
#include "store/last_events.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Transaction;
using std::chrono::steady_clock;

namespace {

// While behind, so much at most goes into one SQLite commit: enough that commits cost little, and
// little enough that readers see movement and a kill repeats little work.
constexpr std::uint64_t kBatchChanges = 20'000;
constexpr std::uint64_t kBatchBytes = 16ull << 20;
constexpr std::chrono::milliseconds kBatchTime{200};
constexpr std::chrono::seconds kBetweenReports{60};
// How often the owner looks for other work while it is busy with the stream.
constexpr std::chrono::milliseconds kBetweenLooks{20};

}  // namespace

std::string label(const SourceContext& context) {
  return context.turn == nullptr ? "" : fmt::format("source \"{}\": ", context.source);
}

void Follower::begin() {
  take_turn();
  applier_ = std::make_unique<Applier>(context_.db, current_holding(), context_.stop_requested,
                                       context_.source);
  check_source();
  applier_->set_shape_policy(options_.shapes);
  applier_->set_asked(asked_);
  forget_stop(context_.db, context_.source);
  give_turn();
}

void Follower::check_source() const {
  check_same_source(reader_.manifest(), options_.daystream.string(), checkpoint_, options_.mirror);
  // A server may keep tables from us: its manifest says so, and the stream not before its next
  // mark.
  if (is_remote_) applier_->check_held();
  if (options_.until && *options_.until < checkpoint_.consistent_at &&
      checkpoint_.lsn < checkpoint_.consistent_at) {
    throw ConfigError(fmt::format("cannot stop at {}: the seed saw transactions up to {}",
                                  options_.until->text(), checkpoint_.consistent_at.text()),
                      "give --until-lsn a later place");
  }
}

bool Follower::batch_is_full() const {
  return batches_ == Batches::Single || applier_->pending_changes() >= kBatchChanges ||
         applier_->pending_bytes() >= kBatchBytes ||
         steady_clock::now() - batch_began_ >= kBatchTime;
}

// A server may let us wait. What others wait for is not held meanwhile, if it can be let go.
Transaction* Follower::next() {
  if (early_ != nullptr) return std::exchange(early_, nullptr);
  if (is_remote_ && wanted() && reader_.backlog_bytes() == 0) commit();
  return reader_.next();
}

// The seed's tables are at a commit of PostgreSQL only further on, where the stream is not yet:
// what was applied towards it would be in the others' way.
void Follower::withdraw() {
  applier_->give_up();
  give_turn();
  if (early_ == nullptr) {
    reader_.wait(kShortSleep, context_.wake_fd);
  } else {
    pollfd wake{.fd = context_.wake_fd, .events = POLLIN, .revents = 0};
    poll(&wake, 1, static_cast<int>(kShortSleep.count()));
  }
  context_.woken();
  throw Withdrawn();
}

void Follower::commit() {
  if (!applier_->pending()) return give_turn();
  if (!applier_->may_commit()) return;
  applier_->commit();
  context_.work.committed(applier_->committed());
  context_.lag.tell(applier_->committed());
  uncommitted_ = 0;
  context_.keeper.after_commit();
  give_turn();
  if (steady_clock::now() - reported_ >= kBetweenReports) report();
}

void Follower::report() {
  reported_ = steady_clock::now();
  const Checkpoint& at = applier_->committed();
  spdlog::info("{}applied {} position={} transactions={} changes={} backlog_bytes={}",
               label(context_), at.lsn.text(), at.position.text(), applier_->applied_transactions(),
               applier_->applied_changes(), reader_.backlog_bytes());
}

// The owner's other work, in turn with the stream's: as long as the one has taken, the other waits,
// unless nothing else is to be done. True: there is more.
bool Follower::work(bool idle) {
  const auto began = steady_clock::now();
  if (!idle && began < next_look_) return false;
  context_.stop_requested();  // pats the watchdog
  commit();
  // Before a fresh seed is at a commit, nothing can be put down in between.
  bool more = false;
  if (!applier_->pending() && (context_.turn == nullptr || context_.work.has_work())) {
    take_turn();
    more = context_.work.step(*applier_);
  }
  commit();
  applier_->check_asked();
  const auto took = steady_clock::now() - began;
  next_look_ = steady_clock::now() + std::max<steady_clock::duration>(took, kBetweenLooks);
  return more;
}

void Follower::sleep() {
  // Work that failed is tried again by the clock.
  const auto longest = context_.sleeps_short || context_.work.busy() ? kShortSleep : kLongSleep;
  if (context_.work.stalled() || early_ != nullptr) {
    std::int64_t pause = longest.count();
    if (early_ != nullptr) {
      pause = std::clamp<std::int64_t>((due(*early_) - now_us() + 999) / 1000, 0, pause);
    }
    pollfd wake{.fd = context_.wake_fd, .events = POLLIN, .revents = 0};
    poll(&wake, 1, static_cast<int>(pause));
  } else {
    reader_.wait(longest, context_.wake_fd);
  }
  context_.woken();
}

// Takes up one transaction. False: there is none, or none may be taken up now.
bool Follower::follow_one() {
  if (context_.work.stalled()) return false;
  Transaction* const transaction = next();
  if (transaction == nullptr) {
    commit();
    batches_ = Batches::Large;
    return false;
  }
  if (past_end(*transaction)) {
    past_end_ = true;
    return false;
  }
  if (options_.delay.count() > 0 && due(*transaction) > now_us()) {
    early_ = transaction;
    commit();
    return false;
  }
  take_turn();
  if (!applier_->pending()) batch_began_ = steady_clock::now();
  if (!applier_->apply(*transaction)) return false;
  ++uncommitted_;
  if (batch_is_full()) commit();
  return true;
}

void Follower::run(bool again) {
  spdlog::log(again ? spdlog::level::debug : spdlog::level::info,
              "{}following \"{}\" from {} ({}), {} tables", label(context_),
              options_.daystream.string(), checkpoint_.position.text(), checkpoint_.lsn.text(),
              applier_->table_count());
  bool more = work(true);
  // Tells it what wakes us, so that next() does not go on for long where nothing comes for us.
  if (!options_.once) reader_.wait(std::chrono::milliseconds(0), context_.wake_fd);
  context_.begun();
  while (!context_.stop_requested() && !at_end()) {
    if (!options_.seed_now.empty() && !context_.work.busy()) break;
    const bool followed = follow_one();
    if (!followed) {
      if (past_end_) break;
      if (options_.once && !context_.work.busy()) break;
      if (context_.turn != nullptr && applier_->pending() && !context_.stop_requested()) withdraw();
    }
    more = work(!followed);
    if (!followed && !more && !context_.stop_requested()) sleep();
  }
  commit();
  take_turn();
  applier_->settle();
  if (applier_->committed().lsn < applier_->committed().consistent_at) {
    spdlog::info("{}the mirror is as its seed saw PostgreSQL: the daystream ends before {}",
                 label(context_), applier_->committed().consistent_at.text());
  }
  report();
}

}  // namespace deltamirror
