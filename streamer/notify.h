// systemd: readiness, watchdog and a status line (sd_notify). Does nothing outside of systemd.
#pragma once

#include <chrono>
#include <string>

namespace deltastream {

class Notify {
 public:
  Notify();
  void ready() const;  // the first stream runs
  void status(const std::string& text) const;
  void stopping() const;
  // To be called at least once a second: pats the watchdog when that is due.
  void alive();

 private:
  std::chrono::steady_clock::duration interval_{0};  // 0: no watchdog
  std::chrono::steady_clock::time_point last_;
};

}  // namespace deltastream
