#include "write/sink.h"

namespace deltastream {

Sink::Sink(const Parts& parts, const Intervals& intervals)
    : parts_(parts), watermarks_(intervals, Clock::now()), written_(parts.writer.last_lsn()) {}

WriterState Sink::state() const {
  const daystream::Writer& writer = parts_.writer;
  return {writer.last_lsn(),
          writer.flushed(),
          writer.in_transaction(),
          writer.dirty(),
          writer.appended_bytes(),
          behind_,
          parts_.copies != nullptr ? parts_.copies->reached() : std::nullopt};
}

void Sink::take_finished_flush() {
  if (const auto flush = parts_.flusher.take()) parts_.writer.finish_flush(*flush);
}

std::optional<Clock::time_point> Sink::next_flush() const {
  if (parts_.flusher.busy()) return std::nullopt;
  return watermarks_.sync_time(state());
}

void Sink::begin_due_flush() {
  if (!parts_.flusher.busy() && watermarks_.sync_due(Clock::now(), state())) begin_flush();
}

void Sink::begin_flush() {
  daystream::Writer::Flush flush = parts_.writer.begin_flush();
  written_ = parts_.writer.last_lsn();
  watermarks_.on_sync_begin(Clock::now(), state());
  parts_.flusher.start(std::move(flush));
}

void Sink::look_on(std::optional<daystream::Lsn> confirmed) {
  const daystream::Lsn flushed = parts_.writer.flushed();
  parts_.writer.check_place();
  if (parts_.copies != nullptr) {
    parts_.copies->tell(flushed);
    parts_.progress.waits_for(parts_.copies->waiting_for(flushed));
  }
  parts_.progress.tick(parts_.writer);
  if (parts_.housekeeper != nullptr && confirmed) {
    parts_.housekeeper->tell(*confirmed, parts_.writer.flushed_position());
  }
}

void Sink::finish(const daystream::program::Signals& signals, const std::function<void()>& alive) {
  settle(parts_.writer, parts_.flusher, signals, alive);
  written_ = parts_.writer.last_lsn();
}

}  // namespace deltastream
