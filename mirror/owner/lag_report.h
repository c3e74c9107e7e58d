// Tells the server that a mirror follows how far the mirror is, and what it waits for, so that one
// page shows them all. The server says in return what it sees of the stream.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "daystream/reader.h"
#include "daystream/stream.h"
#include "program/handover.h"
#include "remote/http_client.h"
#include "store/checkpoint.h"

namespace deltamirror {

// Does nothing where the stream has no server. What it reports decides nothing: a report that
// does not arrive is forgotten, the next one comes soon.
//
// Threads: what is public from one thread. The requests are made on a thread of its own, so that a
// server that hangs holds up nobody.
class LagReport {
 public:
  // Between two reports, where nothing new is to be said: a sign of life.
  static constexpr std::chrono::milliseconds kAgain{1'500};

  // `on_news`: called on that thread, where stream_trouble() has changed.
  LagReport(const daystream::Stream& daystream, const std::string& mirror,
            std::function<void()> on_news);
  LagReport(const LagReport&) = delete;
  LagReport& operator=(const LagReport&) = delete;

  // What was just committed here.
  void tell(const Checkpoint& at);
  // Why the mirror does not go on; empty: it does. Before the first tell() the server does not know
  // the mirror, and hears nothing of it.
  void set_trouble(const std::string& what);
  // What the server said last of the stream: why nothing new comes. nullopt: it is written.
  std::optional<daystream::Away> stream_trouble() const;

 private:
  struct State {
    daystream::Position position;
    daystream::Lsn lsn;
    std::int64_t lag_ms = 0;
    std::string trouble;
  };
  void run(const std::stop_token& stop);
  void report(daystream::remote::Notices& notices, const State& state) const;
  void hear(const std::string& answer);

  const std::function<void()> on_news_;
  std::string address_;
  std::filesystem::path folder_;  // of the mirror
  std::string url_;               // without what changes; empty: there is nobody to report to
  std::string last_complete_to_;
  State now_;
  daystream::program::Mailbox<State> states_;
  mutable std::mutex mutex_;  // of these
  std::optional<daystream::Away> stream_trouble_;
  std::string stream_since_;  // since when; a text that counts seconds is the same trouble
  std::jthread thread_;       // last: it uses the others
};

}  // namespace deltamirror
