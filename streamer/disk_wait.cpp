#include "disk_wait.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdlib>

#include "program/program.h"

namespace deltastream {

namespace {

// A busy disk takes less time than this, and a supervisor that stops us waits longer.
constexpr std::chrono::seconds kStopPatience{5};
constexpr std::chrono::milliseconds kLook{200};  // between two looks at the signals

}  // namespace

std::optional<daystream::Writer::Flush> wait_for_disk(Flusher& flusher,
                                                      const daystream::program::Signals& signals,
                                                      Progress* progress) {
  std::optional<Clock::time_point> asked_to_stop;
  while (flusher.busy()) {
    if (auto flush = flusher.wait(kLook)) return flush;
    if (progress != nullptr) progress->alive();
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

}  // namespace deltastream
