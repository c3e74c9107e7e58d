#include "write/watermarks.h"

#include <catch2/catch.hpp>

using daystream::Lsn;
using deltastream::Clock;
using deltastream::Intervals;
using deltastream::Milliseconds;
using deltastream::Watermarks;
using deltastream::WriterState;

namespace {

const Clock::time_point kStart = Clock::time_point{} + std::chrono::hours(1);

WriterState at(std::uint64_t last, std::uint64_t flushed) {
  return {Lsn{last}, Lsn{flushed}, false, last != flushed, 0};
}

}  // namespace

TEST_CASE("watermarks: a keepalive is marked when the stream falls idle", "[watermarks]") {
  Watermarks marks({}, kStart);
  const WriterState writer = at(100, 100);
  marks.on_keepalive(kStart, Lsn{200}, false, writer);
  CHECK_FALSE(marks.mark_due(kStart, writer));
  CHECK(marks.next_deadline(kStart, writer) <= kStart + deltastream::kIdleAfter);
  CHECK(marks.mark_due(kStart + deltastream::kIdleAfter, writer) == Lsn{200});
}

TEST_CASE("watermarks: foreign WAL alone does not make a mark each moment", "[watermarks]") {
  Watermarks marks({}, kStart);
  marks.on_mark(kStart, Lsn{100});
  const WriterState writer = at(100, 100);
  marks.on_keepalive(kStart, Lsn{200}, false, writer);
  CHECK_FALSE(marks.mark_due(kStart + deltastream::kIdleAfter, writer));
  CHECK(marks.mark_due(kStart + deltastream::kIdleMarkInterval, writer) == Lsn{200});
}

TEST_CASE("watermarks: a stream that is never idle gets a mark all the same", "[watermarks]") {
  Watermarks marks({}, kStart);
  const WriterState writer = at(100, 100);
  Clock::time_point now = kStart;
  bool marked = false;
  for (std::uint64_t lsn = 200; now < kStart + deltastream::kBusyMarkInterval; ++lsn) {
    marks.on_keepalive(now, Lsn{lsn}, false, writer);
    marked = marked || marks.mark_due(now, writer).has_value();
    now += Milliseconds{5};
  }
  CHECK_FALSE(marked);
  marks.on_keepalive(now, Lsn{90'000}, false, writer);
  CHECK(marks.mark_due(now, writer) == Lsn{90'000});
}

TEST_CASE("watermarks: no mark stands between the commits of a rhythm", "[watermarks]") {
  const auto gap = GENERATE(Milliseconds{4}, Milliseconds{12}, Milliseconds{20}, Milliseconds{95});
  CAPTURE(gap.count());
  Watermarks marks({}, kStart);
  Clock::time_point now = kStart;
  std::uint64_t lsn = 100;
  const auto commit = [&] {
    // In messages, and with the keepalive that says where the server is.
    for (int i = 0; i < 3; ++i)
      marks.on_data(now + i * std::chrono::microseconds(50), at(lsn, lsn));
    lsn += 10;
    marks.on_keepalive(now + std::chrono::microseconds(200), Lsn{lsn}, false,
                       at(lsn - 10, lsn - 10));
  };
  for (int i = 0; i < 20; ++i) {
    commit();
    now += gap;
    if (i > 0) CHECK_FALSE(marks.mark_due(now, at(lsn - 10, lsn - 10)));
  }
  // The rhythm ends.
  now += deltastream::kIdleMarkInterval;
  CHECK(marks.mark_due(now, at(lsn - 10, lsn - 10)));
  marks.on_mark(now, Lsn{lsn});
  // After a pause one commit is no rhythm.
  now += std::chrono::seconds(1);
  commit();
  CHECK(marks.mark_due(now + deltastream::kIdleAfter + Milliseconds{1}, at(lsn - 10, lsn - 10)));
}

TEST_CASE("watermarks: what must not wait is marked at once", "[watermarks]") {
  Intervals intervals;
  bool asked = false;
  SECTION("the server asks") {
    asked = true;
  }
  SECTION("we are a synchronous standby") {
    intervals.synchronous_standby = true;
  }
  SECTION("the end position is reached") {
    intervals.end_lsn = Lsn{200};
  }
  Watermarks marks(intervals, kStart);
  const WriterState writer = at(100, 100);
  marks.on_keepalive(kStart, Lsn{200}, asked, writer);
  CHECK(marks.mark_due(kStart, writer) == Lsn{200});
}

TEST_CASE("watermarks: a keepalive inside a transaction is never marked", "[watermarks]") {
  Intervals intervals;
  intervals.synchronous_standby = true;
  Watermarks marks(intervals, kStart);
  WriterState open = at(100, 100);
  open.in_transaction = true;
  marks.on_keepalive(kStart, Lsn{200}, true, open);
  CHECK_FALSE(marks.mark_due(kStart + deltastream::kBusyMarkInterval, open));
  // Nor after it: the keepalive said nothing about what came in between.
  CHECK_FALSE(marks.mark_due(kStart + deltastream::kBusyMarkInterval, at(150, 150)));
  // It is a sign of life the server wants, and gets.
  CHECK(marks.status_due(kStart, open));
  CHECK_FALSE(marks.answer_overdue(kStart + 2 * deltastream::kAnswerWithin));
}

TEST_CASE("watermarks: a keepalive that is not ahead of the stream is no mark", "[watermarks]") {
  Watermarks marks({}, kStart);
  marks.on_keepalive(kStart, Lsn{100}, true, at(100, 100));
  CHECK_FALSE(marks.mark_due(kStart + deltastream::kBusyMarkInterval, at(100, 100)));
  CHECK(marks.status_due(kStart, at(100, 100)));
}

TEST_CASE("watermarks: an idle server's time is told now and then", "[watermarks]") {
  Watermarks marks({}, kStart);
  const WriterState writer = at(100, 100);
  const Clock::time_point later = kStart + deltastream::kQuietMarkInterval;
  marks.on_keepalive(later, Lsn{100}, false, writer);
  CHECK_FALSE(marks.mark_due(later, writer));  // it may be anywhere
  marks.on_wal_end({Lsn{100}, 7}, writer);
  CHECK_FALSE(marks.mark_due(later - Milliseconds{1}, writer));
  CHECK(marks.next_deadline(later - Milliseconds{1}, writer) <= later);
  CHECK(marks.mark_due(later, writer) == Lsn{100});
  CHECK(marks.proven_us(Lsn{100}) == 7);
  SECTION("and synced, though its LSN is known") {
    WriterState marked = writer;
    marked.dirty = true;
    CHECK(marks.sync_due(later, marked));
  }
  SECTION("once") {
    marks.on_mark(later, Lsn{100});
    CHECK(marks.proven_us(Lsn{100}) == 0);
    CHECK_FALSE(marks.mark_due(later + deltastream::kBusyMarkInterval, writer));
    marks.on_wal_end({Lsn{100}, 8}, writer);
    CHECK(marks.mark_due(later + deltastream::kQuietMarkInterval, writer) == Lsn{100});
  }
  SECTION("not when something has come since") {
    marks.on_data(later, writer);
    CHECK_FALSE(marks.mark_due(later + deltastream::kBusyMarkInterval, writer));
  }
  SECTION("not inside a transaction") {
    WriterState open = writer;
    open.in_transaction = true;
    CHECK_FALSE(marks.mark_due(later, open));
  }
}

TEST_CASE("watermarks: a mark proves a time only where the stream has come to the end of then",
          "[watermarks]") {
  Watermarks marks({}, kStart);
  const WriterState writer = at(100, 100);
  marks.on_wal_end({Lsn{300}, 7}, writer);
  CHECK_FALSE(marks.mark_due(kStart + deltastream::kQuietMarkInterval, writer));
  // The walsender is in the middle of what is not ours.
  const Clock::time_point later = kStart + deltastream::kIdleMarkInterval;
  marks.on_keepalive(kStart, Lsn{200}, false, writer);
  CHECK(marks.mark_due(later, writer) == Lsn{200});
  CHECK(marks.proven_us(Lsn{200}) == 0);
  marks.on_mark(later, Lsn{200});
  // A server that goes on faster than we follow must not take the goal along.
  marks.on_wal_end({Lsn{500}, 9}, at(200, 200));
  CHECK(marks.proven_us(Lsn{299}) == 0);
  CHECK(marks.proven_us(Lsn{300}) == 7);
  marks.on_wal_end({Lsn{500}, 9}, at(300, 300));
  CHECK(marks.proven_us(Lsn{300}) == 0);
  CHECK(marks.proven_us(Lsn{500}) == 9);
}

TEST_CASE("watermarks: a reply waits shortly for the sync that makes it useful", "[watermarks]") {
  Watermarks marks({}, kStart);
  marks.on_status_sent(kStart, Lsn{100}, false);
  marks.on_keepalive(kStart, Lsn{200}, true, at(100, 100));
  CHECK_FALSE(marks.status_due(kStart, at(200, 100)));
  CHECK(marks.status_due(kStart, at(200, 200)));                             // synced
  CHECK(marks.status_due(kStart + deltastream::kReplyDelay, at(200, 100)));  // the disk is slow
}

TEST_CASE("watermarks: an answer that takes too long lets go, counted from the first question",
          "[watermarks]") {
  Watermarks marks({}, kStart);
  marks.on_keepalive(kStart, Lsn{200}, true, at(100, 100));
  const auto later = kStart + Milliseconds{2'000};
  marks.on_status_sent(later, Lsn{100}, false);
  marks.on_keepalive(later, Lsn{200}, true, at(200, 100));
  CHECK_FALSE(marks.answer_overdue(kStart + deltastream::kAnswerWithin - Milliseconds{1}));
  CHECK(marks.answer_overdue(kStart + deltastream::kAnswerWithin));
  marks.on_status_sent(kStart + Milliseconds{2'500}, Lsn{200}, false);
  CHECK_FALSE(marks.answer_overdue(kStart + 2 * deltastream::kAnswerWithin));
}

TEST_CASE("watermarks: a commit is synced at once, -F apart, but for who asks", "[watermarks]") {
  Intervals intervals;
  CHECK(Watermarks(intervals, kStart).sync_due(kStart, at(200, 100)));
  intervals.fsync = Milliseconds{5'000};
  Watermarks marks(intervals, kStart);
  CHECK(marks.sync_due(kStart, at(200, 100)));
  marks.on_sync_begin(kStart, at(200, 100));
  CHECK_FALSE(marks.sync_due(kStart + Milliseconds{4'999}, at(200, 100)));
  CHECK(marks.next_deadline(kStart + Milliseconds{1}, at(200, 100)) <= kStart + intervals.fsync);
  CHECK(marks.sync_due(kStart + Milliseconds{5'000}, at(200, 100)));
  marks.on_keepalive(kStart, Lsn{200}, true, at(200, 100));
  CHECK(marks.sync_due(kStart + Milliseconds{1}, at(200, 100)));
}

TEST_CASE("watermarks: who catches up syncs less often, but for who waits", "[watermarks]") {
  Intervals intervals;
  WriterState late = at(200, 100);
  late.behind = true;
  const Clock::time_point soon = kStart + Milliseconds{1};
  Watermarks marks(intervals, kStart);
  CHECK_FALSE(marks.sync_due(soon, late));
  CHECK(marks.sync_due(soon, at(200, 100)));
  const Clock::time_point due = kStart + deltastream::kBehindSyncInterval;
  CHECK(marks.next_deadline(soon, late) == due);
  CHECK(marks.sync_due(due, late));
  SECTION("a server that asked") {
    marks.on_keepalive(soon, Lsn{200}, true, late);
    CHECK(marks.sync_due(soon, late));
  }
  SECTION("a synchronous standby") {
    intervals.synchronous_standby = true;
    marks.set_intervals(intervals);
    CHECK(marks.sync_due(soon, late));
  }
}

TEST_CASE("watermarks: an open transaction is synced in pieces, and not in crumbs",
          "[watermarks]") {
  Watermarks marks({}, kStart);
  WriterState open{Lsn{100}, Lsn{100}, true, true, deltastream::kSyncEveryBytes - 1};
  CHECK_FALSE(marks.sync_due(kStart, open));
  open.appended_bytes = deltastream::kSyncEveryBytes;
  CHECK(marks.sync_due(kStart, open));
  marks.on_sync_begin(kStart, open);
  CHECK_FALSE(marks.sync_due(kStart, open));
  open.appended_bytes = 0;  // a transaction that came again was taken back
  CHECK_FALSE(marks.sync_due(kStart, open));
}

TEST_CASE("watermarks: status goes when flushed moves and by time", "[watermarks]") {
  Watermarks marks({}, kStart);
  marks.on_status_sent(kStart, Lsn{100}, false);
  CHECK_FALSE(marks.status_due(kStart, at(200, 100)));
  CHECK(marks.status_due(kStart, at(200, 200)));
  CHECK(marks.status_due(kStart + Milliseconds{10'000}, at(100, 100)));
}

TEST_CASE("watermarks: a server that moves is asked often, an idle one seldom", "[watermarks]") {
  Watermarks marks({}, kStart);
  Clock::time_point now = kStart;
  int pings = 0;
  for (; now < kStart + std::chrono::minutes(1); now += Milliseconds{100}) {
    if (!marks.ping_due(now)) continue;
    ++pings;
    marks.on_status_sent(now, Lsn{100}, true);
    marks.on_keepalive(now, Lsn{100}, false, at(100, 100));  // where it was
  }
  CHECK(pings >= 5);
  CHECK(pings <= 12);
  marks.on_keepalive(now, Lsn{200}, false, at(100, 100));
  CHECK(marks.ping_due(now + Milliseconds{500}));
}

TEST_CASE("watermarks: with required copies only what they have is confirmed", "[watermarks]") {
  Watermarks marks({}, kStart);
  WriterState writer = at(200, 200);
  writer.copied = Lsn{100};
  CHECK(writer.confirmable() == Lsn{100});
  marks.on_status_sent(kStart, writer.confirmable(), false);
  CHECK_FALSE(marks.status_due(kStart, writer));
  // The server wants to know: it is let go of, as with a disk that hangs.
  marks.on_keepalive(kStart, Lsn{200}, true, writer);
  CHECK_FALSE(marks.answer_overdue(kStart + deltastream::kAnswerWithin - Milliseconds(1)));
  CHECK(marks.answer_overdue(kStart + deltastream::kAnswerWithin));
  // The copies have it: it is told at once.
  writer.copied = Lsn{300};
  CHECK(writer.confirmable() == Lsn{200});
  CHECK(marks.status_due(kStart, writer));
  marks.on_status_sent(kStart, writer.confirmable(), false);
  CHECK_FALSE(marks.answer_overdue(kStart + deltastream::kAnswerWithin));
}
