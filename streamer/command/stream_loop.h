// One connection's stream: from START_REPLICATION to its end.
//
//   receive -> Writer (written) -> Flusher (flushed) -> RequiredCopies -> status packet (confirmed)
//
// Threads: one; only the disk waits on the Flusher's.
#pragma once

#include <functional>
#include <optional>

#include "daystream/writer.h"
#include "server/history_proof.h"
#include "server/replication_stream.h"
#include "server/server.h"
#include "server/server_monitor.h"
#include "write/clock_guard.h"
#include "write/sink.h"

namespace daystream::program {
class Signals;
}

namespace deltastream {

class StreamLoop {
 public:
  enum class End {
    Stopped,     // asked to by a signal
    ReachedEnd,  // everything up to Intervals::end_lsn is confirmed
    Reconnect,   // another connection is wanted: by reload(), or as a slot was replaced
  };

  // What another configuration may change while it runs.
  struct Settings {
    Intervals intervals;
    Housekeeper* housekeeper = nullptr;  // none: all is kept as it is
  };

  struct Parts {
    ReplicationStream& connection;  // streaming
    daystream::Writer& writer;      // its last line is the connection's first mark, flushed
    Flusher& flusher;               // idle
    daystream::program::Signals& signals;
    ClockGuard& clock;
    const PgServer& server;
    ServerMonitor* monitor;  // nullptr: nobody asks the server how far it is
    Progress& progress;
    RequiredCopies& copies;
    HistoryProof& proof;
    Settings settings;
    // On SIGHUP: the settings from now on; nullopt: end with Reconnect.
    std::function<std::optional<Settings>()> reload;
  };

  explicit StreamLoop(const Parts& parts);

  // Throws what ends a stream otherwise: ConnectionLost, IoError (the Writer is then unusable),
  // NeedsPerson, ProtocolError. A transaction may be open and the Flusher busy then.
  End run();

  // Whether a whole transaction has come: such a stream got somewhere, even if it then broke off.
  // Marks do not count: the transaction id that each connection asks for moves the server on.
  bool kept_any() const noexcept { return kept_any_; }

 private:
  daystream::Lsn confirmable() const { return sink_.state().confirmable(); }
  bool proving() const noexcept { return parts_.proof.pending(); }
  // Hands what has come to the Writer, up to a limit, so that syncs are begun in between.
  void receive_some();
  // What libpq has read already; nothing more from the socket.
  void receive_rest();
  bool handle_next();
  void handle(const XLogData&);
  void handle(const Keepalive&);
  void write_due_mark();
  void send_due_status();
  void send_status(bool ask_reply);
  void check_answers();
  bool take_reload();  // true: end with Reconnect
  void hear_monitor();
  void tell_progress();
  void sleep();
  bool reached_end() const;
  End finish(End end);

  Parts parts_;
  Sink sink_;
  Watermarks& watermarks_;  // sink_'s
  bool kept_any_ = false;
  bool more_ = false;     // has been received, beyond what was looked at
  bool all_sent_ = true;  // no status packet waits for the socket
};

}  // namespace deltastream
