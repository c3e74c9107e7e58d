// The confirm rule (docs/guarantees.md#nothing-lost) under random histories of what server, disk
// and relays do: the deciding code itself, a clock that is a number, and no disk.
#include <catch2/catch.hpp>

#include "history.h"
#include "write/watermarks.h"

using daystream::Lsn;
using deltastream::Clock;
using deltastream::Intervals;
using deltastream::Milliseconds;
using deltastream::Watermarks;
using deltastream::WriterState;
using simulation::History;

namespace {

struct Event {
  enum class Kind {
    Row,        // of the open transaction, which begins with it
    Commit,     // of the open transaction, if there is one
    Foreign,    // PostgreSQL's log grows by what is not ours
    Keepalive,  // says where the server is
    Question,   // the same, and wants an answer
    Synced,     // the disk has what it was given
    Copied,     // a relay has what is on our disk
    Time,
  };
  Kind kind = Kind::Row;
  int amount = 0;
};

Event draw(std::mt19937_64& random) {
  static constexpr int kAmounts[] = {0, 1, 9, 150, 3'000, 20'000};
  return {static_cast<Event::Kind>(random() % 8), kAmounts[random() % 6]};
}

std::string text_of(const Event& event) {
  static const char* const kNames[] = {"row",      "commit", "foreign", "keepalive",
                                       "question", "synced", "copied",  "time"};
  return kNames[static_cast<int>(event.kind)] + (" " + std::to_string(event.amount));
}

// deltastream's loop around the Watermarks, with a server, a disk and a relay that are numbers.
class World {
 public:
  explicit World(bool with_copies) : marks_(Intervals{}, now_) {
    if (with_copies) writer_.copied = Lsn{};
  }

  // What is wrong after it; empty: nothing.
  std::string take(const Event& event) {
    happen(event);
    return work();
  }

  // Where nothing more happens but that disk and relay do their work, all is confirmed before long.
  std::string settle() {
    if (writer_.in_transaction) happen({Event::Kind::Commit, 1});
    happen({Event::Kind::Keepalive, 0});
    const Clock::time_point until = now_ + Milliseconds{30'000};
    while (now_ < until) {
      happen({Event::Kind::Synced, 0});
      happen({Event::Kind::Copied, 0});
      if (std::string wrong = work(); !wrong.empty()) return wrong;
      if (confirmed_ == server_) return "";
      const Clock::time_point next = marks_.next_deadline(now_, writer_);
      if (next <= now_ && !syncing_)
        return "the loop spins: its next deadline is not in the future";
      now_ = std::max(now_ + Milliseconds{1}, next);
    }
    return "an idle server's " + server_.text() + " is not confirmed, only " + confirmed_.text();
  }

 private:
  void happen(const Event& event) {
    const auto amount = static_cast<std::uint64_t>(event.amount);
    switch (event.kind) {
      case Event::Kind::Row:
        writer_.in_transaction = true;
        writer_.appended_bytes += 1 + amount * 1000;
        writer_.dirty = true;
        return marks_.on_data(now_, writer_);
      case Event::Kind::Commit:
        if (!writer_.in_transaction) return;
        server_.value += 8;
        writer_.in_transaction = false;
        writer_.last_lsn = server_;
        writer_.behind = event.amount > 100;
        return marks_.on_data(now_, writer_);
      case Event::Kind::Foreign:
        server_.value += amount;
        return;
      case Event::Kind::Keepalive:
      case Event::Kind::Question:
        if (!writer_.in_transaction) told_ = server_;
        return marks_.on_keepalive(now_, server_, event.kind == Event::Kind::Question, writer_);
      case Event::Kind::Synced:
        if (syncing_) writer_.flushed = std::max(writer_.flushed, *std::exchange(syncing_, {}));
        return;
      case Event::Kind::Copied:
        if (writer_.copied) writer_.copied = writer_.flushed;
        return;
      case Event::Kind::Time:
        now_ += Milliseconds{event.amount};
        return;
    }
  }

  // One turn of the loop, as streamer/command/stream_loop.cpp goes through it.
  std::string work() {
    if (const auto lsn = marks_.mark_due(now_, writer_)) {
      if (writer_.in_transaction) return "a mark inside a transaction";
      if (*lsn > std::max(told_, writer_.last_lsn)) return "a mark of what nobody told";
      writer_.last_lsn = *lsn;
      writer_.dirty = true;
      marks_.on_mark(now_, *lsn);
    }
    if (!syncing_ && marks_.sync_due(now_, writer_)) {
      syncing_ = writer_.last_lsn;
      writer_.dirty = writer_.in_transaction;  // what was appended is on its way
      marks_.on_sync_begin(now_, writer_);
    }
    const bool ping = marks_.ping_due(now_);
    if (ping || marks_.status_due(now_, writer_)) return confirm(writer_.confirmable(), ping);
    return "";
  }

  std::string confirm(Lsn lsn, bool ping) {
    if (lsn > writer_.flushed) return "confirmed what is not on disk";
    if (writer_.copied && lsn > *writer_.copied) return "confirmed what no relay has";
    if (lsn < confirmed_) return "confirmed less than before";
    confirmed_ = lsn;
    marks_.on_status_sent(now_, lsn, ping);
    return "";
  }

  Clock::time_point now_ = Clock::time_point{} + std::chrono::hours(1);
  Watermarks marks_;
  WriterState writer_;
  std::optional<Lsn> syncing_;  // up to where the disk is at work
  Lsn server_;                  // where its log ends
  Lsn told_;                    // up to where it has sent all that is ours, as it said
  Lsn confirmed_;
};

std::string judge(const History<Event>& history) {
  for (const bool with_copies : {false, true}) {
    World world(with_copies);
    for (const Event& event : history) {
      if (std::string wrong = world.take(event); !wrong.empty()) return wrong;
    }
    if (std::string wrong = world.settle(); !wrong.empty()) return wrong;
  }
  return "";
}

}  // namespace

TEST_CASE("simulation: whatever server, disk and relays do, what is confirmed is on disk",
          "[simulation][confirm]") {
  CHECK(simulation::try_histories<Event>(40, draw, judge, text_of) == "");
}
