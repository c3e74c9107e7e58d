// What is known, from one connection to the next, of the publication that a stream without the
// plugin is made of.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/stream_config.h"
#include "daystream/lsn.h"
#include "daystream/manifest.h"
#include "pgoutput/shape_log.h"
#include "server/pgoutput_source.h"
#include "server/publication.h"
#include "server/replication_connection.h"

namespace deltastream {

class FollowedPublication {
 public:
  // `config` is borrowed; each connection looks at it again.
  explicit FollowedPublication(const Config& config) : config_(config) {}

  // What the stream is to say it holds; tells the server first what it needs to be told. Throws
  // NeedsPerson where the publication cannot be followed. `manifest`: of the stream that is there.
  daystream::Holding meet(ReplicationConnection& connection,
                          const std::optional<daystream::Manifest>& manifest);

  // What the publication of meet() leaves out of a table, for people; nullopt: nothing.
  std::optional<daystream::program::UntoldText> problem() const {
    return published_.problem(config_.publication);
  }

  // For create_slot(): reads how the tables are at the new slot's beginning.
  std::function<void(const std::string& snapshot)> look_at_shapes();

  // For the connection that meet() was called with last.
  PgoutputBegin begin(daystream::Lsn from, daystream::Lsn confirmed, std::uint64_t next);

  // What the stream is to say from the next connection on.
  void has_changed(PublicationChange change) { changed_ = std::move(change); }

  // There is no room to keep what runs: from now on a transaction comes once it is committed.
  void wants_whole_transactions() noexcept { in_progress_ = false; }
  bool takes_parts() const noexcept { return in_progress_; }

 private:
  void check_identities(PGconn* connection, bool is_begun);
  void decide(const std::optional<daystream::Manifest>& manifest);

  const Config& config_;
  PublishedTables told_;            // as the stream says
  Published published_;             // when that was decided
  std::optional<Published> begun_;  // the same, of the connection that was made last
  PublicationChange changed_;
  std::vector<pgoutput::ShapeRow> first_shapes_;  // as the slot that we made began
  std::set<std::string> without_identity_;        // of which it was warned
  bool in_progress_ = true;
};

}  // namespace deltastream
