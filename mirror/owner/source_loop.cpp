#include "owner/source_loop.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "apply/same_source.h"
#include "program/figures.h"
#include "program/hint.h"
#include "program/notify.h"
#include "src/waiting.h"
#include "store/last_events.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Transaction;
using std::chrono::steady_clock;

namespace {

// While behind, so much at most goes into one SQLite commit: enough that commits cost little, and
// little enough that readers see movement and a kill repeats little work.
constexpr std::uint64_t kBatchChanges = 20'000;
constexpr std::uint64_t kCommitBytes = 16ull << 20;
constexpr std::chrono::milliseconds kBatchTime{200};
constexpr std::chrono::seconds kBetweenLags{60};
// How often the owner looks for other work while it is busy with the stream.
constexpr std::chrono::milliseconds kBetweenLooks{20};

}  // namespace

void SourceLoop::begin() {
  take_turn();
  const daystream::Manifest manifest = stream_.manifest();
  applier_ = std::make_unique<Applier>(
      db_, current_holding(manifest), [this] { return source_.stop_requested(); }, source_.name());
  applier_->tables().set_on_trouble(source_.work().on_trouble());
  check_source(manifest);
  check_reaches(options_.daystream, checkpoint_);
  applier_->lines().set_shape_policy(options_.shapes);
  applier_->lines().set_asked(stream_.asked());
  save_directory(db_, checkpoint_, options_.daystream.absolute_address());
  give_turn();
}

void SourceLoop::check_source(const daystream::Manifest& manifest) const {
  check_same_source(manifest, options_.daystream.address(), checkpoint_, options_.mirror);
  // A server may keep tables from us: its manifest says so, and the stream not before its next
  // mark.
  if (source_.is_remote()) {
    applier_->check_held();
    if (applier_->pending()) applier_->commit();
  }
  if (options_.end.until && *options_.end.until < checkpoint_.consistent_at &&
      checkpoint_.lsn < checkpoint_.consistent_at) {
    throw ConfigError(fmt::format("cannot stop at {}: the seed saw transactions up to {}",
                                  options_.end.until->text(), checkpoint_.consistent_at.text()),
                      "give --until-lsn a later place");
  }
}

bool SourceLoop::batch_is_full() const {
  return batch_.size == Batches::Single || applier_->pending_changes() >= kBatchChanges ||
         applier_->pending_bytes() >= kCommitBytes ||
         steady_clock::now() - batch_.began >= kBatchTime;
}

// A server may let us wait. What others wait for is not held meanwhile, if it can be let go.
Transaction* SourceLoop::next() {
  if (source_.is_remote() && wanted() && stream_.must_wait()) commit();
  try {
    return stream_.next();
  } catch (const daystream::TornEnd&) {
    commit();  // what is before it is whole, and may be all there is for long
    throw;
  }
}

// The seed's tables are at a commit of PostgreSQL only further on, where the stream is not yet:
// what was applied towards it would be in the others' way.
void SourceLoop::withdraw() {
  applier_->give_up();
  give_turn();
  stream_.wait(kShortSleep, source_.wake_fd());
  source_.woken();
  throw Withdrawn();
}

// A server that is away, or that has nothing as its stream is not written: what is here gets old,
// and who asks how the mirror is hears it at once.
void SourceLoop::look_at_server() {
  if (!source_.is_remote() || applier_->pending()) return;
  auto away = stream_.away();
  const bool is_said = away.has_value();  // by who has tried to reach it
  if (!away) away = source_.lag().stream_trouble();
  if (away == away_) return;
  away_ = std::move(away);
  if (!away_) return went_on();
  if (!is_said) {
    spdlog::warn("{}{}", source_.label(),
                 daystream::program::with_hint(away_->message, away_->hint));
  }
  daystream::program::Notify().status(
      fmt::format("{}waiting: {}", source_.label(), away_->message));
  take_turn();
  remember_error(db_, source_.name(), daystream::Error(away_->message, away_->hint),
                 AfterError::Waiting);
  give_turn();
  went_on_ = false;
}

// What was wrong before is mended once a transaction is here, or there is none to wait for.
void SourceLoop::went_on() {
  if (away_ || std::exchange(went_on_, true)) return;
  daystream::program::Notify().status(
      fmt::format("{}following {}", source_.label(), options_.daystream.address()));
  const bool had_turn = has_turn_;
  take_turn();
  forget_error(db_, source_.name());
  source_.lag().set_trouble({});
  if (!had_turn) give_turn();
}

void SourceLoop::commit() {
  if (!applier_->pending()) return give_turn();
  if (!applier_->may_commit()) return;
  applier_->commit();
  source_.work().committed(applier_->committed());
  source_.lag().tell(applier_->committed());
  batch_.transactions = 0;
  went_on();
  WalKeeper& keeper = source_.shared().keeper;
  if (backlog_looks_.due(steady_clock::now())) {
    keeper.set_backlog(source_.name(), stream_.backlog_bytes());
  }
  keeper.after_commit();
  give_turn();
  if (steady_clock::now() - reported_ >= kBetweenLags) report();
}

void SourceLoop::report() {
  reported_ = steady_clock::now();
  const Checkpoint& at = applier_->committed();
  spdlog::info("{}applied {} position={} transactions={} changes={} backlog_bytes={}",
               source_.label(), at.lsn.text(), at.position.text(), applier_->applied_transactions(),
               applier_->applied_changes(), stream_.backlog_bytes());
}

// The owner's other work, in turn with the stream's: as long as the one has taken, the other waits,
// unless nothing else is to be done. True: there is more.
bool SourceLoop::work(bool idle) {
  const auto began = steady_clock::now();
  if (!idle && began < next_look_) return false;
  source_.stop_requested();  // pats the watchdog
  commit();
  // Before a fresh seed is at a commit, nothing can be put down in between.
  bool more = false;
  look_at_server();
  const bool has_work = source_.work().has_work() || !applier_->tables().absent().empty();
  if (!applier_->pending() && has_work) {
    take_turn();
    more = source_.work().step(*applier_);
    if (applier_->take_moved()) stream_.open(applier_->reached());
  }
  commit();
  applier_->lines().check_asked();
  const auto took = steady_clock::now() - began;
  next_look_ = steady_clock::now() + std::max<steady_clock::duration>(took, kBetweenLooks);
  return more;
}

void SourceLoop::sleep() {
  // Work that failed is tried again by the clock.
  const auto longest =
      source_.shared().has_watchdog || source_.work().copies().busy() ? kShortSleep : kLongSleep;
  if (source_.work().copies().stalled()) {
    daystream::WaitSet{source_.wake_fd()}.wait(longest);
  } else {
    stream_.wait(longest, source_.wake_fd());
  }
  source_.woken();
}

// Takes up one transaction. False: there is none, or none may be taken up now.
bool SourceLoop::take_next() {
  if (source_.work().copies().stalled()) return false;
  Transaction* const transaction = next();
  if (transaction == nullptr) {
    commit();
    if (!applier_->pending()) went_on();
    batch_.size = Batches::Large;
    return false;
  }
  if (past_end(*transaction)) {
    stream_.keep(SourceReader::Kept::Beyond);
    return false;
  }
  if (stream_.is_early(*transaction)) {
    stream_.keep(SourceReader::Kept::Early);
    commit();
    return false;
  }
  take_turn();
  if (!applier_->pending()) batch_.began = steady_clock::now();
  if (!applier_->apply(*transaction)) return false;
  ++batch_.transactions;
  if (batch_is_full()) commit();
  return true;
}

void SourceLoop::run(bool again) {
  spdlog::log(again ? spdlog::level::debug : spdlog::level::info,
              "{}following \"{}\" from {} ({}), {}", source_.label(), options_.daystream.address(),
              checkpoint_.position.text(), checkpoint_.lsn.text(),
              daystream::program::counted(applier_->tables().followed().size(), "table"));
  work(true);
  // Tells it what wakes us, so that next() does not go on for long where nothing comes for us.
  if (!options_.end.once && !source_.work().copies().stalled()) {
    stream_.wait(std::chrono::milliseconds(0), source_.wake_fd());
  }
  source_.set_begun();
  while (!source_.stop_requested() && !source_.is_paused()) {
    const bool copies = source_.work().copies().any_soon(*applier_);
    if (!options_.end.seed_now.empty() && !copies) break;
    if (at_end() && !copies) break;
    const bool followed = !at_end() && take_next();
    if (!followed) {
      if ((stream_.is_past_end() || options_.end.once) && !copies) break;
      const bool in_the_way =
          applier_->pending() && wanted() && !source_.work().copies().is_soon_whole();
      if (in_the_way && !source_.stop_requested()) withdraw();
    }
    const bool more = work(!followed);
    if (!followed && !more && !source_.stop_requested() && !source_.is_paused()) sleep();
  }
  commit();
  take_turn();
  source_.work().copies().park_uncopied(*applier_);
  commit();
  take_turn();  // which commit() has given on
  applier_->settle();
  if (applier_->committed().lsn < applier_->committed().consistent_at) {
    spdlog::info("{}the mirror is as its seed saw PostgreSQL: the daystream ends before {}",
                 source_.label(), applier_->committed().consistent_at.text());
  }
  report();
}

}  // namespace deltamirror
