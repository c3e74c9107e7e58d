// Tells the server that a mirror follows how far the mirror is, and what it waits for, so that one
// page shows them all.
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
// Threads: tell() and set_trouble() from one thread. The requests are made on a thread of its own,
// so that a server that hangs holds up nobody.
class LagReport {
 public:
  LagReport(const daystream::Stream& daystream, const std::string& mirror);
  LagReport(const LagReport&) = delete;
  LagReport& operator=(const LagReport&) = delete;

  // What was just committed here.
  void tell(const Checkpoint& at);
  // Why the mirror does not go on; empty: it does. Before the first tell() the server does not know
  // the mirror, and hears nothing of it.
  void set_trouble(const std::string& what);

 private:
  struct State {
    daystream::Position position;
    daystream::Lsn lsn;
    std::int64_t lag_ms = 0;
    std::string trouble;
  };
  void run(const std::stop_token& stop);
  void report(daystream::remote::Notices& notices, const State& state) const;

  std::string url_;  // without what changes; empty: there is nobody to report to
  std::string last_complete_to_;
  State now_;
  daystream::program::Mailbox<State> states_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace deltamirror
