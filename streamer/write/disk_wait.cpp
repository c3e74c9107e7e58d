#include "write/disk_wait.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdlib>

#include "program/program.h"
#include "write/watermarks.h"

namespace deltastream {

namespace {

// A busy disk takes less time than this, and a supervisor that stops us waits longer.
constexpr std::chrono::seconds kStopPatience{5};
constexpr std::chrono::milliseconds kLook{200};  // between two looks at the signals

}  // namespace

std::optional<daystream::Writer::Flush> wait_for_disk(Flusher& flusher,
                                                      const daystream::program::Signals& signals,
                                                      const std::function<void()>& alive) {
  std::optional<Clock::time_point> asked_to_stop;
  while (flusher.busy()) {
    if (auto flush = flusher.wait(kLook)) return flush;
    alive();
    if (!signals.stop_requested()) continue;
    if (!asked_to_stop) asked_to_stop = Clock::now();
    if (Clock::now() < *asked_to_stop + kStopPatience) continue;
    spdlog::error(
        "the disk has not finished a sync within {} s of being told to stop: ending without it; "
        "what is not on disk was not confirmed, and PostgreSQL sends it again",
        kStopPatience.count());
    spdlog::shutdown();
    std::_Exit(static_cast<int>(daystream::ExitCode::Failed));
  }
  return std::nullopt;
}

void settle(daystream::Writer& writer, Flusher& flusher, const daystream::program::Signals& signals,
            const std::function<void()>& alive) {
  const auto finish = [&] {
    if (const auto flush = wait_for_disk(flusher, signals, alive)) writer.finish_flush(*flush);
  };
  finish();
  if (writer.in_transaction()) writer.abort();
  if (!writer.dirty()) return;
  flusher.start(writer.begin_flush());
  finish();
}

}  // namespace deltastream
