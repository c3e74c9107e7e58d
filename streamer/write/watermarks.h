// When to write a mark, when to sync, when to confirm to the server: the rules of
// docs/guarantees.md#nothing-lost and docs/guarantees.md#idle-is-free-and-nobody-waits as pure
// decisions over time and positions. No input or output here, so that tests can walk all cases.
//
//   received >= written >= flushed; flushed alone is confirmed
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "daystream/lsn.h"
#include "server/wal_end.h"
#include "write/rhythm.h"

namespace deltastream {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

// The stream has fallen idle when nothing came for so long, or for longer where data comes in a
// rhythm that foresees more soon; at the latest after kIdleMarkInterval.
inline constexpr Milliseconds kIdleAfter{10};
// Least time between marks while nothing but foreign WAL moves: without it, a server that is busy
// elsewhere would have us write and sync a hundred lines a second that say nothing.
inline constexpr Milliseconds kIdleMarkInterval{100};
// Longest time between marks when the stream is never idle.
inline constexpr Milliseconds kBusyMarkInterval{10'000};
// While there is nothing new, a mark that proves a time comes no sooner than this after the last
// mark. Readers that go by time (`wait --time`, a merge of several databases) wait for it.
inline constexpr Milliseconds kQuietMarkInterval{5'000};
// How long the server may wait for a confirmation it asked for, before we close the connection: a
// server that shuts down waits for us.
inline constexpr Milliseconds kAnswerWithin{3'000};
// A reply is delayed so long for the sync that makes it a useful one. Without delay a server that
// shuts down asks again at once, and both spin until the disk has finished.
inline constexpr Milliseconds kReplyDelay{200};
// An open transaction is synced in pieces of this size, so that its commit need not wait for it
// all.
inline constexpr std::uint64_t kSyncEveryBytes = 8 << 20;

// A commit that is this old when it comes shows that we are catching up: nobody waits for it to the
// tenth of a millisecond.
inline constexpr Milliseconds kBehindAfter{100};
// While catching up, syncs begin at least so far apart. One after the other they would cost as much
// CPU as all else, here and in the kernel, and confirm no sooner in any way that counts.
inline constexpr Milliseconds kBehindSyncInterval{50};

struct Intervals {
  Milliseconds fsync{0};
  Milliseconds status{10'000};            // 0: never by time
  std::optional<daystream::Lsn> end_lsn;  // a keepalive from here on is marked at once
  bool synchronous_standby = false;       // so is every one
};

// What the Writer says of itself.
struct WriterState {
  daystream::Lsn last_lsn;
  daystream::Lsn flushed;
  bool in_transaction = false;
  bool dirty = false;
  std::uint64_t appended_bytes = 0;
  bool behind = false;                        // the last commit was kBehindAfter old when it came
  std::optional<daystream::Lsn> copied = {};  // on the disks of the required copies, if any are

  // What may be confirmed: on our disk, and on theirs.
  daystream::Lsn confirmable() const noexcept {
    return copied ? std::min(flushed, *copied) : flushed;
  }
};

class Watermarks {
 public:
  Watermarks(const Intervals& intervals, Clock::time_point now);

  void set_intervals(const Intervals& intervals) noexcept { intervals_ = intervals; }

  // Events.
  void on_data(Clock::time_point now, const WriterState& writer) noexcept;
  void on_keepalive(Clock::time_point now, daystream::Lsn lsn, bool reply_requested,
                    const WriterState& writer) noexcept;
  // The oldest one that the stream has not reached is kept: one that is always replaced by a newer
  // one would never be reached.
  void on_wal_end(const WalEnd&, const WriterState& writer) noexcept;
  void on_mark(Clock::time_point now, daystream::Lsn lsn) noexcept;
  void on_sync_begin(Clock::time_point now, const WriterState& writer) noexcept;
  void on_status_sent(Clock::time_point now, daystream::Lsn confirmed, bool asked_reply) noexcept;

  // Decisions.
  // The LSN to write a mark for now.
  std::optional<daystream::Lsn> mark_due(Clock::time_point now, const WriterState&) const noexcept;
  // What a mark with this LSN proves; 0: nothing that was not said before.
  std::int64_t proven_us(daystream::Lsn mark) const noexcept;
  // When to sync, if none runs; nullopt: there is nothing worth it.
  std::optional<Clock::time_point> sync_time(const WriterState&) const noexcept;
  bool sync_due(Clock::time_point now, const WriterState&) const noexcept;
  bool status_due(Clock::time_point now, const WriterState&) const noexcept;
  // It is time to ask the server where it is: it says so by itself only when it has caught up.
  bool ping_due(Clock::time_point now) const noexcept;
  // The server asked, and we could not confirm within kAnswerWithin: let go of the connection.
  bool answer_overdue(Clock::time_point now) const noexcept;
  // When the next decision may change by time alone.
  Clock::time_point next_deadline(Clock::time_point now, const WriterState&) const noexcept;

  daystream::Lsn server_lsn() const noexcept { return server_lsn_; }  // sent, as far as we know
  daystream::Lsn confirmed() const noexcept { return confirmed_; }    // as last sent to the server
  Clock::time_point last_heard() const noexcept { return last_heard_; }

 private:
  bool at_once(daystream::Lsn lsn) const noexcept;
  Clock::time_point mark_time(const WriterState&) const noexcept;

  Intervals intervals_;
  daystream::Lsn server_lsn_;  // newest of the server's positions
  daystream::Lsn pending_;     // newest keepalive outside a transaction: what a mark may say
  daystream::Lsn confirmed_;   // as last sent to the server
  daystream::Lsn asked_lsn_;   // the server waits for this, if asked_
  bool asked_ = false;         // and we have not confirmed it
  bool reply_owed_ = false;    // no status sent since it asked
  Rhythm rhythm_{kIdleAfter, kIdleMarkInterval};
  bool data_since_mark_ = true;      // so that falling idle is news
  WalEnd wal_end_;                   // not reached, or reached and in no mark yet
  bool data_since_wal_end_ = false;  // whose commits have later times
  Clock::time_point asked_since_;
  Clock::time_point reply_since_;
  Clock::time_point last_heard_;
  Clock::time_point last_mark_;
  Clock::time_point last_sync_;
  Clock::time_point last_status_;
  Clock::time_point last_ping_;
  Milliseconds ping_interval_;
  std::uint64_t synced_bytes_ = 0;
};

}  // namespace deltastream
