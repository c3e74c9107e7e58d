// Follows a slot into a daystream: checks, streams, reconnects. What it promises is in
// docs/guarantees.md#nothing-lost.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "command/followed_publication.h"
#include "command/stream_loop.h"
#include "config/stream_config.h"
#include "daystream/writer.h"
#include "program/retries.h"
#include "server/server.h"
#include "server/server_monitor.h"
#include "server/slot.h"
#include "status/progress.h"
#include "write/clock_guard.h"
#include "write/flusher.h"
#include "write/housekeeper.h"
#include "write/required_copies.h"

namespace daystream::program {
class Signals;
}

namespace deltastream {

class Streamer {
 public:
  // `config` and `signals` are borrowed.
  Streamer(Config& config, daystream::program::Signals& signals);

  // Follows until a stop is asked for or Config::end_lsn is reached. Throws what only a person can
  // mend, and what is not worth another try; with --no-loop also a lost connection.
  void run();

 private:
  // One connection, from its checks to its end.
  StreamLoop::End stream();
  void require_room() const;
  PgServer meet(ReplicationConnection& connection);
  daystream::Lsn begin_of(ReplicationConnection& connection, const PgServer& server,
                          const Slot& slot);
  HistoryProof proof_of(const Slot& slot, daystream::Lsn begin) const;
  void write_beginning(daystream::Lsn begin, const daystream::MarkFacts& facts);
  StreamLoop::End follow(ReplicationStream& connection, const PgServer& server, HistoryProof& proof,
                         RequiredCopies& copies);
  void warn_of_unused_patterns(ReplicationConnection& connection);
  // What is true for as long as the server and the filter stay as they are is said once, however
  // often the connection is made.
  void warn_once(const std::string& text);
  void open_writer(const PgServer& server, std::optional<daystream::Lsn> confirmed_flush);
  void create_slot_first(ReplicationConnection& connection, bool directory_is_there);
  // The slot to go on with. One that is lost is replaced where that is asked for: nullopt, and all
  // is to be looked at again; else throws SlotLost.
  std::optional<Slot> usable_slot(ReplicationConnection& connection, const PgServer& server,
                                  bool directory_is_there);
  void fail(const daystream::Error& error);
  // A slot that was made for a daystream that never began would keep WAL for nobody.
  void abandon_slot();
  // After a stream that broke: what was received is synced, half a transaction is given up.
  void settle();
  // What is to be kept, as the configuration says it now.
  void keep_house();
  StreamLoop::Settings settings(bool synchronous_standby);
  // Takes over the configuration file. nullopt: that takes another connection.
  std::optional<StreamLoop::Settings> reload();
  // Has the server asked how far it is, beside the stream.
  void watch_server();
  void alive();
  // Sleeps, or until asked to stop.
  void pause(std::chrono::milliseconds length);

  Config& config_;
  daystream::program::Signals& signals_;
  ClockGuard clock_;
  Flusher flusher_;
  std::unique_ptr<daystream::Writer> writer_;  // kept across connections; none before the first
  std::optional<Housekeeper> housekeeper_;     // once the directory is ours, if there are rules
  std::optional<Progress> progress_;           // once the directory is ours
  std::optional<ServerMonitor> monitor_;       // from the first stream on
  TimelineId timeline_ = 0;                    // of the server we are connected to
  daystream::Holding holding_;                 // of the present connection
  // A server that comes back is not mobbed, neither by one stream nor by hundreds at once.
  inline static constexpr std::chrono::milliseconds kLongestPause{30'000};
  daystream::program::Retries retries_{
      daystream::program::Pauses(std::chrono::milliseconds{100}, kLongestPause)};
  std::string lost_in_fact_;  // why the slot cannot be read, whatever the server says of it
  const std::string new_id_ = daystream::new_stream_id();  // of a directory that is made now
  std::set<std::string> warned_;                           // by warn_once()
  // What --create-slot asks for is done with once it is known where the slot is from.
  enum class SlotOrigin { Unknown, NotOurs, MadeByUs } slot_origin_ = SlotOrigin::Unknown;
  FollowedPublication publication_;  // where there is one
};

}  // namespace deltastream
