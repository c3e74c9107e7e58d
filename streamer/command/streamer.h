// Follows a slot into a daystream: checks, streams, reconnects. What it promises is in
// docs/guarantees.md#nothing-lost.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "command/stream_loop.h"
#include "config/stream_config.h"
#include "daystream/writer.h"
#include "program/repeats.h"
#include "remote/pauses.h"
#include "server/pgoutput_source.h"
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
  StreamLoop::End follow(ReplicationStream& connection, const PgServer& server,
                         HistoryProof& proof);
  // pgoutput: what a new slot's snapshot is looked at for. Empty: nothing.
  std::function<void(const std::string&)> look_at_shapes();
  // pgoutput: what the stream is to say it holds, and what the server needs to be told first.
  void meet_publication(ReplicationConnection& connection,
                        const std::optional<daystream::Manifest>& manifest);
  void warn_of_unused_patterns(ReplicationConnection& connection);
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
  std::optional<RequiredCopies> copies_;  // of the present connection
  Flusher flusher_;
  std::unique_ptr<daystream::Writer> writer_;  // kept across connections; none before the first
  std::optional<Housekeeper> housekeeper_;     // once the directory is ours, if there are rules
  daystream::HousekeepingRules kept_by_;       // housekeeper_'s
  std::optional<Progress> progress_;           // once the directory is ours
  std::optional<ServerMonitor> monitor_;       // from the first stream on
  std::string monitored_;                      // by what connection string
  TimelineId timeline_ = 0;                    // of the server we are connected to
  // A server that comes back is not mobbed, neither by one stream nor by hundreds at once.
  inline static constexpr std::chrono::milliseconds kLongestPause{30'000};
  daystream::program::Repeats problems_;
  daystream::remote::Pauses pauses_{std::chrono::milliseconds{100}, kLongestPause};
  bool is_let_in_ = false;  // a connection was made, in this run
  int version_told_ = 0;    // of the server, to say once what is wrong with it
  const std::string new_id_ = daystream::new_stream_id();  // of a directory that is made now
  std::set<std::string> patterns_told_;                    // filters that were said to name nothing
  bool slot_made_ = false;                                 // by us, in this run
  bool slot_created_ = false;                              // --create-slot is done with
  daystream::Holding holding_;                             // of the present connection
  // pgoutput
  PublishedTables told_;                          // as the stream says
  std::optional<PublishedTables> changed_;        // what it may say from the next connection on
  std::vector<pgoutput::ShapeRow> first_shapes_;  // as the slot that we made began
  std::set<std::string> without_identity_;        // of which it was warned
  bool in_progress_ = true;  // transactions come while they run; false: there was no room for them
};

}  // namespace deltastream
