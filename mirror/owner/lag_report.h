// Tells the server that a mirror follows how far the mirror is, so that one page shows them all.
#pragma once

#include <cstdint>
#include <string>
#include <thread>

#include "daystream/stream.h"
#include "program/handover.h"
#include "remote/http_client.h"
#include "store/checkpoint.h"

namespace deltamirror {

// Does nothing where the stream has no server. What it reports decides nothing: a report that
// does not arrive is forgotten, the next one comes within 10 s.
//
// Threads: tell() from one thread. The requests are made on a thread of its own, so that a server
// that hangs holds up nobody.
class LagReport {
 public:
  LagReport(const daystream::Stream& daystream, const std::string& mirror);
  LagReport(const LagReport&) = delete;
  LagReport& operator=(const LagReport&) = delete;

  // What was just committed here.
  void tell(const Checkpoint& at);

 private:
  struct State {
    daystream::Position position;
    daystream::Lsn lsn;
    std::int64_t lag_ms = 0;
  };
  void run(const std::stop_token& stop);
  void report(daystream::remote::Notices& notices, const State& state) const;

  std::string url_;  // without what changes; empty: there is nobody to report to
  std::string last_complete_to_;
  std::int64_t lag_ms_ = 0;
  daystream::program::Mailbox<State> states_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace deltamirror
