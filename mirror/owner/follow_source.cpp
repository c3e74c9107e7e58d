#include "owner/follow_source.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "apply/applier.h"
#include "apply/asked_tables.h"
#include "apply/holding.h"
#include "apply/same_source.h"
#include "daystream/reader.h"
#include "remote/http_client.h"
#include "remote/pauses.h"
#include "store/last_events.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Reader;
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
// When nothing wakes us: the first is the watchdog's.
constexpr std::chrono::milliseconds kShortSleep{1000};
constexpr std::chrono::milliseconds kLongSleep{60'000};

// How many source transactions may share one SQLite commit.
enum class Batches {
  Large,  // many while behind
  Single  // each its own until caught up, so that the file ends right before one that fails
};

// See Follower::withdraw(): to begin anew is all that is to be done.
class Withdrawn : public daystream::Error {
 public:
  Withdrawn() : Error("the daystream does not reach to where the seed is consistent yet") {}
};

// What the log's lines about a named source begin with.
std::string label(const SourceContext& context) {
  return context.source.empty() ? "" : fmt::format("source \"{}\": ", context.source);
}

class Follower {
 public:
  // `checkpoint`: where it is. `asked`: the tables whose rows a server is to send
  // (apply/asked_tables.h); empty: all.
  Follower(const SourceContext& context, Batches batches, Checkpoint checkpoint,
           const std::string& asked)
      : context_(context),
        options_(context.options),
        batches_(batches),
        checkpoint_(std::move(checkpoint)),
        asked_(asked),
        reader_(options_.daystream, {checkpoint_.position, checkpoint_.lsn, asked}) {}
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  // What is not committed is rolled back.
  ~Follower() {
    take_turn();
    applier_.reset();
    context_.work.rolled_back();
    give_turn();
  }

  void begin();
  void run();
  bool committed_anything() const noexcept {
    return applier_->committed().position != checkpoint_.position;
  }
  // Whether the failure of one transaction has taken whole ones before it along.
  bool lost_whole_transactions() const noexcept {
    return batches_ == Batches::Large && uncommitted_ > 0;
  }

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
  // Until when a delayed mirror must not have it, microseconds since 1970.
  std::int64_t due(const Transaction& transaction) const {
    const std::int64_t committed = transaction.end().time_us;
    const std::int64_t known = committed != 0 ? committed : transaction.position().c * 1'000'000;
    return known + std::chrono::microseconds(options_.delay).count();
  }
  bool at_end() const { return options_.until && applier_->reached().lsn >= *options_.until; }
  bool has_turn() const noexcept { return context_.turn == nullptr || has_turn_; }
  void take_turn() {
    if (has_turn()) return;
    context_.turn->take(context_.nudge_fd);
    has_turn_ = true;
  }
  void give_turn() noexcept {
    if (!has_turn_ || (applier_ != nullptr && applier_->pending())) return;
    has_turn_ = false;
    context_.turn->give();
  }
  bool wanted() const noexcept { return has_turn_ && context_.turn->wanted(); }
  bool batch_is_full() const;
  Transaction* next();
  void withdraw();
  bool work(bool idle);
  bool follow_one();
  void commit();
  void sleep();
  void report();

  const SourceContext& context_;
  const FollowOptions& options_;
  const bool is_remote_ = daystream::remote::Url::is_one(options_.daystream.native());
  Batches batches_;
  const Checkpoint checkpoint_;
  const std::string asked_;
  Reader reader_;
  std::unique_ptr<Applier> applier_;
  Transaction* early_ = nullptr;   // the reader's last: not due yet
  std::uint64_t uncommitted_ = 0;  // source transactions applied since the last SQLite commit
  bool past_end_ = false;
  bool has_turn_ = false;  // of several
  steady_clock::time_point batch_began_{};
  steady_clock::time_point next_look_{};
  steady_clock::time_point reported_ = steady_clock::now();
};

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

void Follower::run() {
  spdlog::info("{}following \"{}\" from {} ({}), {} tables", label(context_),
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

// False: asked to stop meanwhile.
bool pause(std::chrono::milliseconds length, const SourceContext& context) {
  const auto end = steady_clock::now() + length;
  for (auto now = steady_clock::now(); now < end; now = steady_clock::now()) {
    if (context.stop_requested()) return false;
    const auto left = std::min<steady_clock::duration>(end - now, kShortSleep);
    pollfd wake{.fd = context.pause_fd, .events = POLLIN, .revents = 0};
    const auto nap = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    if (poll(&wake, 1, static_cast<int>(nap)) > 0) context.pause_woken();
  }
  return !context.stop_requested();
}

// The names of tables as lines may call them next; `seen`: those that one has taken just now.
std::string tables_to_ask_for(const SourceContext& context, const std::vector<std::string>& seen) {
  // With an end to stop at, each commit counts, also one that has nothing for us.
  const bool remote = daystream::remote::Url::is_one(context.options.daystream.native());
  if (!remote || context.options.until) return {};
  AskedTables asked;
  for (const MirroredTable& table : load_tables_of(context.db, context.source)) {
    if (!table.is_static()) asked.add(daystream::unescape(table.shape.line_name));
  }
  for (const std::string& name : context.work.tables_to_come()) asked.add(name);
  for (const std::string& name : seen) asked.add(name);
  return asked.list();
}

// What a Follower begins with.
struct Start {
  Checkpoint checkpoint;
  std::string asked;
};

Start load_start(const SourceContext& context, const std::vector<std::string>& seen) {
  const HavingTurn turn(context.turn, context.nudge_fd);
  return {load_checkpoint(context.db, context.source), tables_to_ask_for(context, seen)};
}

void remember(const SourceContext& context, const daystream::Error& e, AfterError after) {
  const HavingTurn turn(context.turn, context.nudge_fd);
  remember_error(context.db, context.source, e, after);
}

bool take_over(const SourceContext& context, const daystream::Error& e) {
  const HavingTurn turn(context.turn, context.nudge_fd);
  return context.work.take_over(e);
}

}  // namespace

void follow_source(const SourceContext& context) {
  daystream::remote::Pauses pauses;
  Batches batches = Batches::Large;
  std::vector<std::string> seen;  // by which TableNotAsked has told of
  for (;;) {
    try {
      Start start = load_start(context, seen);
      Follower follower(context, batches, std::move(start.checkpoint), start.asked);
      follower.begin();
      pauses.reset();
      try {
        follower.run();
        return;
      } catch (const TableNotAsked& e) {
        // What was committed since has those before as the mirror's own.
        if (follower.committed_anything()) seen.clear();
        seen.push_back(e.name());
        spdlog::info("asking \"{}\" for table {} too", context.options.daystream.string(),
                     e.name());
      } catch (const daystream::Error&) {
        // Whole transactions may have gone back with the one that failed: they are applied again
        // one by one, to fail at that very place.
        if (!follower.lost_whole_transactions()) throw;
        batches = Batches::Single;
      }
    } catch (const Withdrawn&) {
      batches = Batches::Large;
    } catch (const daystream::Error& e) {
      // The Follower's statements are gone with it: the tables can be changed.
      const bool again = e.retryable() && context.stays();
      remember(context, e, again ? AfterError::Waiting : AfterError::Stopped);
      if (again) {
        batches = Batches::Large;
        spdlog::warn("{}{}; trying again", label(context), e.what());
        if (!pause(pauses.next(), context)) return;
      } else if (take_over(context, e)) {
        batches = Batches::Single;
      } else {
        throw;
      }
    }
  }
}

}  // namespace deltamirror
