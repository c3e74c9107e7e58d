// systemd: readiness, watchdog and a status line (sd_notify). Does nothing outside of systemd.
#pragma once

#include <chrono>
#include <string>

#include "daystream/stop.h"
#include "daystream/unique_fd.h"

namespace daystream::program {

class Notify {
 public:
  Notify();
  void ready();  // the work has begun
  void status(const std::string& text);
  void stopping();
  bool has_watchdog() const noexcept { return interval_.count() > 0; }
  // To be called at least once a second: pats the watchdog when that is due.
  void alive();
  // The same request, for work that takes long and asks now and then: each time, alive() is called.
  // Borrows this, and is for one thread.
  Stop watched(const Stop& stop);

 private:
  void connect();
  bool sent(const std::string& text) const;
  void tell(const std::string& text);

  // Kept open: who runs out of descriptors later on has to be able to say that it lives.
  UniqueFd socket_;
  std::chrono::steady_clock::duration interval_{0};  // 0: no watchdog
  std::chrono::steady_clock::time_point last_;
};

}  // namespace daystream::program
