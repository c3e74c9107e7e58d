// systemd: readiness, watchdog and a status line (sd_notify). Does nothing outside of systemd.
#pragma once

#include <chrono>
#include <string>

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

 private:
  std::chrono::steady_clock::duration interval_{0};  // 0: no watchdog
  std::chrono::steady_clock::time_point last_;
};

}  // namespace daystream::program
