// systemd: readiness, watchdog and a status line (sd_notify). Does nothing outside of systemd.
#pragma once

#include <chrono>
#include <string>

#include "daystream/stop.h"

namespace daystream::program {

class Notify {
 public:
  Notify();
  void ready() const;  // the work has begun
  void status(const std::string& text) const;
  void stopping() const;
  bool has_watchdog() const noexcept { return interval_.count() > 0; }
  // To be called at least once a second: pats the watchdog when that is due.
  void alive();
  // The same request, for work that takes long and asks now and then: each time, alive() is called.
  // Borrows this, and is for one thread.
  Stop watched(const Stop& stop);

 private:
  std::chrono::steady_clock::duration interval_{0};  // 0: no watchdog
  std::chrono::steady_clock::time_point last_;
};

}  // namespace daystream::program
