#include "write/clock_guard.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <utility>

#include "daystream/error.h"
#include "src/calendar.h"

namespace deltastream {

namespace {

std::int64_t read_clock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace

ClockGuard::ClockGuard()
    : ClockGuard([] { return read_clock(CLOCK_REALTIME); },
                 [] { return read_clock(CLOCK_BOOTTIME); }) {}

ClockGuard::ClockGuard(std::function<std::int64_t()> wall, std::function<std::int64_t()> elapsed)
    : wall_(std::move(wall)), elapsed_(std::move(elapsed)) {}

void ClockGuard::set_server(std::int64_t server_us) {
  server_us_ = server_us;
  set_at_us_ = elapsed_();
  known_ = true;
}

void ClockGuard::saw_server(std::int64_t server_us) noexcept {
  // Only a later time than the reckoned one counts: a message that waited, or a pause of this
  // process, must not look like a server that is behind.
  if (known_ && server_us > server_us_ + (elapsed_() - set_at_us_)) set_server(server_us);
}

ClockGuard::Seconds ClockGuard::now(Seconds last_c) const {
  const std::int64_t wall_us = wall_();
  const Seconds wall = wall_us / 1'000'000;
  if (!known_ || wall <= last_c + kTooFarAhead) return wall;
  const std::int64_t server_us = server_us_ + (elapsed_() - set_at_us_);
  if (wall_us <= server_us + kTooFarAhead * 1'000'000) return wall;
  throw daystream::NeedsPerson(
      fmt::format("this machine's clock says {}, the server's {}: more than an hour ahead",
                  daystream::utc_text(daystream::at_second(wall_us / 1'000'000)),
                  daystream::utc_text(daystream::at_second(server_us / 1'000'000))),
      "set the clock right: with a wrong one every later position would be wrong too");
}

}  // namespace deltastream
