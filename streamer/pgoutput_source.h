// One connection's stream of pgoutput, with all that stands behind it.
#pragma once

#include <memory>

#include "config.h"
#include "pgoutput/decoder.h"
#include "pgoutput/shape_log.h"
#include "pgoutput_stream.h"
#include "publication_watch.h"

namespace deltastream {

// Where a connection begins.
struct PgoutputBegin {
  daystream::Lsn lsn;
  daystream::Lsn confirmed;  // of the slot
  std::uint64_t next = 0;    // the server's next transaction id
  PublishedTables told;      // what the stream holds
  // What tables were at the slot's beginning, for a stream that begins with it.
  std::vector<pgoutput::ShapeRow> first_shapes;
};

// Ownership: borrows `server`, which streams already. The daystream's directory is locked.
class PgoutputSource {
 public:
  PgoutputSource(const Config& config, ReplicationStream& server, const PgoutputBegin& begin);

  ReplicationStream& stream() noexcept { return stream_; }
  // The publication has other tables now. It ends the stream with ConnectionLost.
  std::optional<PublishedTables> changed() const noexcept { return changed_; }

 private:
  void on_data();

  const std::string publication_;
  std::optional<PublishedTables> changed_;
  pgoutput::Spool spool_;
  pgoutput::ShapeLog log_;
  pgoutput::Decoder decoder_;
  PublicationWatch watch_;
  PgoutputStream stream_;
};

}  // namespace deltastream
