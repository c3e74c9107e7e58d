#include "program/notify.h"

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include <cstdint>

namespace daystream::program {

Notify::Notify() {
  std::uint64_t usec = 0;
  // Half of what systemd grants, as sd_watchdog_enabled(3) advises.
  if (sd_watchdog_enabled(0, &usec) > 0) interval_ = std::chrono::microseconds(usec / 2);
}

void Notify::ready() const {
  sd_notify(0, "READY=1");
}

void Notify::status(const std::string& text) const {
  sd_notify(0, fmt::format("STATUS={}", text).c_str());
}

void Notify::stopping() const {
  sd_notify(0, "STOPPING=1");
}

void Notify::alive() {
  if (interval_.count() == 0) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < last_ + interval_) return;
  last_ = now;
  sd_notify(0, "WATCHDOG=1");
}

Stop Notify::watched(const Stop& stop) {
  const auto requested = [this, stop] {
    alive();
    return stop.requested();
  };
  return {requested, stop.fd()};
}

}  // namespace daystream::program
