#include "owner/follow.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <utility>

#include "apply/applier.h"
#include "apply/asked_tables.h"
#include "apply/holding.h"
#include "apply/same_source.h"
#include "daystream/reader.h"
#include "owner/lag_report.h"
#include "owner/owner.h"
#include "owner/owner_work.h"
#include "program/notify.h"
#include "remote/http_client.h"
#include "remote/pauses.h"
#include "store/last_events.h"
#include "store/mirror_file.h"
#include "store/wal_keeper.h"

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

// What all Followers of one owner share.
struct Owned {
  const FollowOptions& options;
  const FollowControl& control;
  Database& db;
  OwnerWork& work;
  daystream::program::Notify& notify;
  LagReport& lag;
  int wake_fd;  // readable: a signal, or work
};

class Follower {
 public:
  // `asked`: the tables whose rows a server is to send (apply/asked_tables.h); empty: all.
  Follower(Owned owned, Batches batches, const std::string& asked)
      : owned_(owned),
        options_(owned.options),
        batches_(batches),
        checkpoint_(load_checkpoint(owned.db)),
        reader_(options_.daystream, {checkpoint_.position, checkpoint_.lsn, asked}),
        applier_(owned.db, current_holding(), [this] { return stop_requested(); }),
        keeper_(owned.db) {
    check_source();
    applier_.set_shape_policy(options_.shapes);
    applier_.set_asked(asked);
  }

  void run();
  bool committed_anything() const noexcept {
    return applier_.committed().position != checkpoint_.position;
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
  bool stop_requested() {
    owned_.notify.alive();
    return owned_.control.stop_requested();
  }
  bool past_end(const Transaction& transaction) const {
    return options_.until && transaction.lsn() > *options_.until;
  }
  // Until when a delayed mirror must not have it, microseconds since 1970.
  std::int64_t due(const Transaction& transaction) const {
    const std::int64_t committed = transaction.end().time_us;
    const std::int64_t known = committed != 0 ? committed : transaction.position().c * 1'000'000;
    return known + std::chrono::microseconds(options_.delay).count();
  }
  bool at_end() const { return options_.until && applier_.reached().lsn >= *options_.until; }
  bool batch_is_full() const;
  bool work(bool idle);
  bool follow_one();
  void commit();
  void sleep();
  void report();

  Owned owned_;
  const FollowOptions& options_;
  Batches batches_;
  const Checkpoint checkpoint_;
  Reader reader_;
  Applier applier_;
  WalKeeper keeper_;
  Transaction* early_ = nullptr;   // the reader's last: not due yet
  std::uint64_t uncommitted_ = 0;  // source transactions applied since the last SQLite commit
  bool past_end_ = false;
  steady_clock::time_point batch_began_{};
  steady_clock::time_point next_look_{};
  steady_clock::time_point reported_ = steady_clock::now();
};

void Follower::check_source() const {
  check_same_source(reader_.manifest(), options_.daystream.string(), checkpoint_, options_.mirror);
  // A server may keep tables from us: its manifest says so, and the stream not before its next
  // mark.
  if (daystream::remote::Url::is_one(options_.daystream.native())) applier_.check_held();
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
  owned_.work.committed(applier_.committed());
  owned_.lag.tell(applier_.committed());
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

// The owner's other work, in turn with the stream's: as long as the one has taken, the other waits,
// unless nothing else is to be done. True: there is more.
bool Follower::work(bool idle) {
  const auto began = steady_clock::now();
  if (!idle && began < next_look_) return false;
  stop_requested();  // pats the watchdog
  commit();
  // Before a fresh seed is at a commit, nothing can be put down in between.
  const bool more = !applier_.pending() && owned_.work.step(applier_);
  commit();
  applier_.check_asked();
  const auto took = steady_clock::now() - began;
  next_look_ = steady_clock::now() + std::max<steady_clock::duration>(took, kBetweenLooks);
  return more;
}

void Follower::sleep() {
  // Work that failed is tried again by the clock.
  const auto longest =
      owned_.notify.has_watchdog() || owned_.work.busy() ? kShortSleep : kLongSleep;
  if (owned_.work.stalled() || early_ != nullptr) {
    std::int64_t pause = longest.count();
    if (early_ != nullptr) {
      pause = std::clamp<std::int64_t>((due(*early_) - now_us() + 999) / 1000, 0, pause);
    }
    pollfd wake{.fd = owned_.wake_fd, .events = POLLIN, .revents = 0};
    poll(&wake, 1, static_cast<int>(pause));
  } else {
    reader_.wait(longest, owned_.wake_fd);
  }
}

// Takes up one transaction. False: there is none, or none may be taken up now.
bool Follower::follow_one() {
  if (owned_.work.stalled()) return false;
  Transaction* const transaction =
      early_ != nullptr ? std::exchange(early_, nullptr) : reader_.next();
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
  if (!applier_.pending()) batch_began_ = steady_clock::now();
  if (!applier_.apply(*transaction)) return false;
  ++uncommitted_;
  if (batch_is_full()) commit();
  return true;
}

void Follower::run() {
  spdlog::info("following \"{}\" from {} ({}), {} tables", options_.daystream.string(),
               checkpoint_.position.text(), checkpoint_.lsn.text(), applier_.table_count());
  bool more = work(true);
  // Tells it what wakes us, so that next() does not go on for long where nothing comes for us.
  if (!options_.once) reader_.wait(std::chrono::milliseconds(0), owned_.wake_fd);
  owned_.notify.ready();
  while (!stop_requested() && !at_end()) {
    if (!options_.seed_now.empty() && !owned_.work.busy()) break;
    const bool followed = follow_one();
    if (!followed) {
      if (past_end_) break;
      if (options_.once && !owned_.work.busy()) break;
    }
    more = work(!followed);
    if (!followed && !more && !stop_requested()) sleep();
  }
  commit();
  applier_.settle();
  if (applier_.committed().lsn < applier_.committed().consistent_at) {
    spdlog::info("the mirror is as its seed saw PostgreSQL: the daystream ends before {}",
                 applier_.committed().consistent_at.text());
  }
  report();
}

daystream::UniqueFd any_of(std::initializer_list<int> fds) {
  daystream::UniqueFd any(epoll_create1(EPOLL_CLOEXEC));
  if (!any) throw daystream::IoError("could not wait for signals", errno);
  for (const int fd : fds) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    if (epoll_ctl(any.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      throw daystream::IoError("could not wait for signals", errno);
    }
  }
  return any;
}

// False: asked to stop meanwhile.
bool pause(std::chrono::milliseconds length, const Owned& owned) {
  const auto end = steady_clock::now() + length;
  for (auto now = steady_clock::now(); now < end; now = steady_clock::now()) {
    owned.notify.alive();
    if (owned.control.stop_requested()) return false;
    const auto left = std::min<steady_clock::duration>(end - now, kShortSleep);
    pollfd wake{.fd = owned.control.wake_fd, .events = POLLIN, .revents = 0};
    const auto nap = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    // What else a signal asks for is still to be seen by take_reload().
    if (poll(&wake, 1, static_cast<int>(nap)) > 0) owned.control.signals.clear();
  }
  return !owned.control.stop_requested();
}

// The names of tables as lines may call them next; `seen`: those that one has taken just now.
std::string tables_to_ask_for(const Owned& owned, const std::vector<std::string>& seen) {
  // With an end to stop at, each commit counts, also one that has nothing for us.
  const bool remote = daystream::remote::Url::is_one(owned.options.daystream.native());
  if (!remote || owned.options.until) return {};
  AskedTables asked;
  for (const MirroredTable& table : load_tables(owned.db)) {
    if (!table.is_static()) asked.add(daystream::unescape(table.shape.line_name));
  }
  for (const std::string& name : owned.work.tables_to_come()) asked.add(name);
  for (const std::string& name : seen) asked.add(name);
  return asked.list();
}

}  // namespace

void follow(const FollowOptions& options, const FollowControl& control) {
  // Before the lock, as a lock file beside no mirror would only puzzle.
  static_cast<void>(open_for_reading(options.mirror));
  const Owner owner(options.mirror);
  Database db = open_owned(options.mirror);
  static_cast<void>(load_tables(db));  // says so where the file is no mirror
  create_last_events(db);
  OwnerWork work(db, options, control);
  daystream::program::Notify notify;
  const daystream::UniqueFd wake = any_of({control.wake_fd, work.fd()});
  LagReport lag(options.daystream, options.mirror);
  const Owned owned{options, control, db, work, notify, lag, wake.get()};
  const bool stays = !options.once && options.seed_now.empty();
  daystream::remote::Pauses pauses;
  Batches batches = Batches::Large;
  std::vector<std::string> seen;  // by which TableNotAsked has told of
  for (;;) {
    try {
      Follower follower(owned, batches, tables_to_ask_for(owned, seen));
      pauses.reset();
      try {
        follower.run();
        notify.stopping();
        return;
      } catch (const TableNotAsked& e) {
        // What was committed since has those before as the mirror's own.
        if (follower.committed_anything()) seen.clear();
        seen.push_back(e.name());
        spdlog::info("asking \"{}\" for table {} too", options.daystream.string(), e.name());
      } catch (const daystream::Error&) {
        // Whole transactions may have gone back with the one that failed: they are applied again
        // one by one, to fail at that very place.
        if (!follower.lost_whole_transactions()) throw;
        batches = Batches::Single;
      }
      work.rolled_back();
    } catch (const daystream::Error& e) {
      // The Follower's statements are gone with it: the tables can be changed.
      work.rolled_back();
      remember_error(db, e);
      if (e.retryable() && stays) {
        batches = Batches::Large;
        spdlog::warn("{}; trying again", e.what());
        if (!pause(pauses.next(), owned)) return;
      } else if (work.take_over(e)) {
        batches = Batches::Single;
      } else {
        throw;
      }
    }
  }
}

}  // namespace deltamirror
