#include "write/watermarks.h"

#include <algorithm>

namespace deltastream {

using daystream::Lsn;

namespace {

// The server is asked this often while it moves; the interval doubles each time it has not moved.
constexpr Milliseconds kShortestPing{500};
constexpr Milliseconds kLongestPing{10'000};

constexpr Clock::time_point kNever = Clock::time_point::max();

}  // namespace

Watermarks::Watermarks(const Intervals& intervals, Clock::time_point now)
    : intervals_(intervals),
      last_heard_(now),
      last_mark_(now),
      last_sync_(now - intervals.fsync),
      last_status_(now),
      last_ping_(now),
      ping_interval_(kShortestPing) {}

void Watermarks::on_data(Clock::time_point now, const WriterState& writer) noexcept {
  last_heard_ = now;
  rhythm_.on_data(now);
  data_since_mark_ = true;
  data_since_wal_end_ = true;
  ping_interval_ = kShortestPing;
  server_lsn_ = std::max(server_lsn_, writer.last_lsn);
}

void Watermarks::on_keepalive(Clock::time_point now, Lsn lsn, bool reply_requested,
                              const WriterState& writer) noexcept {
  last_heard_ = now;
  if (lsn > server_lsn_) {
    server_lsn_ = lsn;
    ping_interval_ = kShortestPing;
  }
  // Inside a transaction it says nothing that we could confirm: the commit comes later.
  if (!writer.in_transaction) pending_ = std::max(pending_, lsn);
  if (!reply_requested) return;
  if (!reply_owed_) reply_since_ = now;
  reply_owed_ = true;
  if (writer.in_transaction || lsn <= writer.confirmable()) return;  // it only wants a sign of life
  if (!asked_) asked_since_ = now;
  asked_ = true;
  asked_lsn_ = std::max(asked_lsn_, lsn);
}

void Watermarks::on_wal_end(const WalEnd& end, const WriterState& writer) noexcept {
  if (wal_end_.time_us != 0 && wal_end_.lsn > writer.last_lsn) return;
  wal_end_ = end;
  data_since_wal_end_ = false;
}

void Watermarks::on_mark(Clock::time_point now, Lsn lsn) noexcept {
  last_mark_ = now;
  data_since_mark_ = false;
  if (wal_end_.lsn <= lsn) wal_end_ = {};
}

std::int64_t Watermarks::proven_us(Lsn mark) const noexcept {
  return wal_end_.lsn <= mark ? wal_end_.time_us : 0;
}

void Watermarks::on_sync_begin(Clock::time_point now, const WriterState& writer) noexcept {
  last_sync_ = now;
  synced_bytes_ = writer.appended_bytes;
}

void Watermarks::on_status_sent(Clock::time_point now, Lsn confirmed, bool asked_reply) noexcept {
  last_status_ = now;
  reply_owed_ = false;
  confirmed_ = confirmed;
  if (asked_ && confirmed >= asked_lsn_) asked_ = false;
  if (!asked_reply) return;
  last_ping_ = now;
  ping_interval_ = std::min(ping_interval_ * 2, kLongestPing);
}

bool Watermarks::at_once(Lsn lsn) const noexcept {
  return (asked_ && lsn >= asked_lsn_) || intervals_.synchronous_standby ||
         (intervals_.end_lsn && lsn >= *intervals_.end_lsn);
}

Clock::time_point Watermarks::mark_time(const WriterState& writer) const noexcept {
  if (writer.in_transaction) return kNever;
  if (pending_ <= writer.last_lsn) {
    const bool news = proven_us(writer.last_lsn) != 0 && !data_since_wal_end_;
    return news ? last_mark_ + kQuietMarkInterval : kNever;
  }
  if (at_once(pending_)) return Clock::time_point::min();
  const Clock::time_point idle =
      data_since_mark_ ? last_heard_ + rhythm_.idle_after()
                       : std::max(last_heard_ + kIdleAfter, last_mark_ + kIdleMarkInterval);
  return std::min(idle, last_mark_ + kBusyMarkInterval);
}

std::optional<Lsn> Watermarks::mark_due(Clock::time_point now,
                                        const WriterState& writer) const noexcept {
  if (now < mark_time(writer)) return std::nullopt;
  return std::max(pending_, writer.last_lsn);
}

std::optional<Clock::time_point> Watermarks::sync_time(const WriterState& writer) const noexcept {
  if (!writer.dirty) return std::nullopt;
  const bool commit_waits = writer.last_lsn > writer.flushed;
  // (A transaction that comes again is taken back, so the count may also fall.)
  if (!commit_waits && writer.in_transaction &&
      writer.appended_bytes < synced_bytes_ + kSyncEveryBytes) {
    return std::nullopt;
  }
  if (asked_ && commit_waits) return last_sync_;  // a server that asked does not wait for -F
  const bool spare = writer.behind && !intervals_.synchronous_standby;
  return last_sync_ + (spare ? std::max(intervals_.fsync, kBehindSyncInterval) : intervals_.fsync);
}

bool Watermarks::sync_due(Clock::time_point now, const WriterState& writer) const noexcept {
  const auto due = sync_time(writer);
  return due && now >= *due;
}

bool Watermarks::status_due(Clock::time_point now, const WriterState& writer) const noexcept {
  if (writer.confirmable() > confirmed_) return true;
  if (reply_owed_ && (!asked_ || now >= reply_since_ + kReplyDelay)) return true;
  return intervals_.status.count() > 0 && now >= last_status_ + intervals_.status;
}

bool Watermarks::ping_due(Clock::time_point now) const noexcept {
  return now >= std::max(last_heard_, last_ping_) + ping_interval_;
}

bool Watermarks::answer_overdue(Clock::time_point now) const noexcept {
  return asked_ && now >= asked_since_ + kAnswerWithin;
}

Clock::time_point Watermarks::next_deadline(Clock::time_point now,
                                            const WriterState& writer) const noexcept {
  Clock::time_point next = std::max(last_heard_, last_ping_) + ping_interval_;
  next = std::min(next, mark_time(writer));
  if (intervals_.status.count() > 0) next = std::min(next, last_status_ + intervals_.status);
  if (reply_owed_) next = std::min(next, reply_since_ + kReplyDelay);
  if (asked_) next = std::min(next, asked_since_ + kAnswerWithin);
  // One that is due already waits for the one that runs.
  if (const auto sync = sync_time(writer); sync && *sync > now) next = std::min(next, *sync);
  return next;
}

}  // namespace deltastream
