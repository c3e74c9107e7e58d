#include "command/stream_loop.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <variant>

#include "daystream/proven_time.h"
#include "program/program.h"
#include "src/calendar.h"
#include "src/waiting.h"

namespace deltastream {

using daystream::ConnectionLost;
using daystream::Lsn;

namespace {

// Between two looks at everything else.
constexpr std::size_t kBytesAtOnce = 1 << 20;
constexpr Milliseconds kLongestReceive{200};  // of messages that make no lines
constexpr unsigned kMessagesBetweenClocks = 32;
// The longest sleep: Progress is promised a tick a second.
constexpr Milliseconds kLongestSleep{1'000};
// How long the server may take to end the stream once we have.
constexpr Milliseconds kFarewell{2'000};

constexpr std::int64_t kBehindAfterUs =
    std::chrono::duration_cast<std::chrono::microseconds>(kBehindAfter).count();

// Silence after which the server or the way to it must be gone, since it answers our pings. A
// server without a time limit of its own gets a long one.
Milliseconds longest_silence(const PgServer& server) {
  constexpr Milliseconds kLeast{60'000};
  constexpr Milliseconds kUnlimited{300'000};
  if (server.wal_sender_timeout.count() == 0) return kUnlimited;
  return std::max(kLeast, 2 * server.wal_sender_timeout);
}

}  // namespace

StreamLoop::StreamLoop(const Parts& parts)
    : parts_(parts),
      sink_(
          {parts.writer, parts.flusher, parts.progress, &parts.copies, parts.settings.housekeeper},
          parts.settings.intervals),
      watermarks_(sink_.watermarks()) {}

StreamLoop::End StreamLoop::run() {
  send_status(true);  // its answer is the server's position
  // The connection's first mark. Here and not before, as the server's keepalives do not wait: with
  // a disk slower than wal_sender_timeout no connection would get any further.
  sink_.begin_flush();
  for (;;) {
    receive_some();
    sink_.take_finished_flush();
    parts_.copies.refresh();
    write_due_mark();
    sink_.begin_due_flush();
    send_due_status();
    check_answers();
    if (parts_.signals.stop_requested()) return finish(End::Stopped);
    if (reached_end()) return finish(End::ReachedEnd);
    if (take_reload()) return finish(End::Reconnect);
    hear_monitor();
    tell_progress();
    sleep();
  }
}

bool StreamLoop::handle_next() {
  const auto message = parts_.connection.receive();
  if (!message) return false;
  const bool proved = !proving();
  std::visit([this](const auto& frame) { handle(frame); }, parse_frame(*message));
  if (!proved && !proving()) send_status(false);  // now all may be confirmed to it
  return true;
}

void StreamLoop::handle(const XLogData& data) {
  parts_.clock.saw_server(data.sent_us);
  if (!proving() || parts_.proof.take(data.payload)) {
    parts_.writer.append(data.payload);
    if (!parts_.writer.in_transaction()) {
      kept_any_ = true;
      sink_.set_behind(data.sent_us - parts_.writer.last_commit_time_us() > kBehindAfterUs);
    }
  }
  watermarks_.on_data(Clock::now(), sink_.state());
}

void StreamLoop::handle(const Keepalive& keepalive) {
  if (proving()) parts_.proof.take_keepalive(keepalive.lsn);
  parts_.clock.saw_server(keepalive.sent_us);
  watermarks_.on_keepalive(Clock::now(), keepalive.lsn, keepalive.reply_requested, sink_.state());
}

void StreamLoop::receive_some() {
  const std::uint64_t limit = parts_.writer.appended_bytes() + kBytesAtOnce;
  const Clock::time_point until = Clock::now() + kLongestReceive;
  bool read = false;
  more_ = false;
  // The clock costs as much as a short message: it is looked at now and then.
  for (unsigned count = 1; parts_.writer.appended_bytes() < limit; ++count) {
    if (count % kMessagesBetweenClocks == 0 && Clock::now() >= until) break;
    if (handle_next()) continue;
    if (read) return;
    parts_.connection.read();
    read = true;
  }
  more_ = true;
}

void StreamLoop::receive_rest() {
  while (handle_next()) {
  }
}

void StreamLoop::write_due_mark() {
  const auto lsn = watermarks_.mark_due(Clock::now(), sink_.state());
  if (!lsn) return;
  daystream::MarkFacts facts;
  facts.timeline = parts_.server.timeline;
  if (const std::int64_t proven = watermarks_.proven_us(*lsn); proven != 0) {
    facts.leading_fields.push_back(daystream::proven_time_field(proven));
  }
  parts_.writer.mark(*lsn, facts);
  watermarks_.on_mark(Clock::now(), *lsn);
}

void StreamLoop::send_status(bool ask_reply) {
  const Lsn confirmed = confirmable();
  StatusUpdate update{std::max(sink_.written(), parts_.writer.flushed()), confirmed,
                      daystream::now_us(), ask_reply};
  if (proving()) {
    // Not even that we have it: a server that believes us further on than it is says nothing.
    update.written = update.flushed = std::min(confirmed, parts_.proof.confirmed());
  }
  parts_.connection.send(update);
  watermarks_.on_status_sent(Clock::now(), confirmed, ask_reply);
  all_sent_ = false;
}

void StreamLoop::send_due_status() {
  const Clock::time_point now = Clock::now();
  const bool ping = watermarks_.ping_due(now);
  if (ping || watermarks_.status_due(now, sink_.state())) send_status(ping);
  if (!all_sent_) all_sent_ = parts_.connection.flush();
}

void StreamLoop::check_answers() {
  const Clock::time_point now = Clock::now();
  if (watermarks_.answer_overdue(now)) {
    const std::string waiting = parts_.copies.waiting_for(parts_.writer.flushed());
    if (!waiting.empty()) {
      throw ConnectionLost(
          fmt::format("{}; let go of the connection so that PostgreSQL need not wait", waiting),
          "start the relays that --require-copies waits for");
    }
    throw ConnectionLost(
        fmt::format("the disk took longer than {} s to sync what PostgreSQL asked us to confirm; "
                    "let go of the connection so that it need not wait",
                    kAnswerWithin.count() / 1000),
        "look at the disk: iostat, dmesg");
  }
  const Milliseconds limit = longest_silence(parts_.server);
  if (now - watermarks_.last_heard() > limit) {
    throw ConnectionLost(fmt::format("PostgreSQL has been silent for {} s", limit.count() / 1000),
                         "it connects again; look at the network in between");
  }
}

bool StreamLoop::take_reload() {
  if (!parts_.signals.take_reload()) return false;
  const auto settings = parts_.reload();
  if (!settings) return true;
  // Whether commits wait for us was last heard from the server.
  const bool standby = parts_.settings.intervals.synchronous_standby;
  parts_.settings = *settings;
  parts_.settings.intervals.synchronous_standby = standby;
  watermarks_.set_intervals(parts_.settings.intervals);
  sink_.set_housekeeper(parts_.settings.housekeeper);
  return false;
}

void StreamLoop::hear_monitor() {
  const auto answer = parts_.monitor != nullptr ? parts_.monitor->take() : std::nullopt;
  if (!answer) return;
  parts_.progress.take(*answer);
  if (!answer->sample) return;
  if (answer->sample->wal_end) watermarks_.on_wal_end(*answer->sample->wal_end, sink_.state());
  parts_.settings.intervals.synchronous_standby = answer->sample->synchronous_standby;
  watermarks_.set_intervals(parts_.settings.intervals);
}

void StreamLoop::tell_progress() {
  const Lsn confirmed = watermarks_.confirmed();
  const bool known = confirmed.value != 0 && !proving();
  sink_.look_on(known ? std::optional(confirmed) : std::nullopt);
}

void StreamLoop::sleep() {
  const Clock::time_point now = Clock::now();
  const Clock::time_point until =
      more_ ? now : std::min(watermarks_.next_deadline(now, sink_.state()), now + kLongestSleep);
  daystream::WaitSet news{parts_.signals.fd(), sink_.fd(), parts_.copies.fd()};
  news.add(parts_.connection.socket(), static_cast<short>(POLLIN | (all_sent_ ? 0 : POLLOUT)));
  if (news.wait_until(until) && news.ready(parts_.signals.fd())) parts_.signals.clear();
}

bool StreamLoop::reached_end() const {
  const auto end = parts_.settings.intervals.end_lsn;
  return end && !proving() && confirmable() >= *end;
}

StreamLoop::End StreamLoop::finish(End end) {
  // All that was received goes to disk and is confirmed; half a transaction comes again.
  if (end == End::Stopped) receive_rest();
  sink_.finish(parts_.signals, [this] {
    hear_monitor();
    parts_.progress.alive();
  });
  send_status(false);
  if (!parts_.connection.finish(kFarewell)) {
    spdlog::debug("PostgreSQL did not end the stream in time");
  }
  return end;
}

}  // namespace deltastream
