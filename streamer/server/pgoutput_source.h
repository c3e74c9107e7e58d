// One connection's stream of pgoutput, with all that stands behind it.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "config/stream_config.h"
#include "pgoutput/decoder.h"
#include "pgoutput/shape_log.h"
#include "server/publication_watch.h"
#include "server/replication_stream.h"

namespace deltastream {

// A replication stream of pgoutput as one of our plugin's lines.
//
// Ownership: borrows both.
class PgoutputStream final : public ReplicationStream {
 public:
  // `on_data` is called with each message of the server's that is no keepalive, `on_left` with
  // tables that go (see Decoder::take_left()) before any line says so, `on_unknown` with tables
  // whose shape is to be sent again (see Decoder::take_unknown()). All may throw.
  PgoutputStream(ReplicationStream& server, pgoutput::Decoder& decoder,
                 std::function<void()> on_data,
                 std::function<void(const std::vector<pgoutput::Decoder::Left>&)> on_left,
                 std::function<void(const std::set<std::uint32_t>&)> on_unknown);

  std::optional<std::string_view> receive() override;
  void read() override { server_.read(); }
  void send(const StatusUpdate& update) override { server_.send(update); }
  bool flush() override { return server_.flush(); }
  bool finish(std::chrono::milliseconds patience) override { return server_.finish(patience); }
  int socket() const noexcept override { return server_.socket(); }

 private:
  std::optional<std::string_view> made();
  std::string_view sign_of_life();

  ReplicationStream& server_;
  pgoutput::Decoder& decoder_;
  const std::function<void()> on_data_;
  const std::function<void(const std::vector<pgoutput::Decoder::Left>&)> on_left_;
  const std::function<void(const std::set<std::uint32_t>&)> on_unknown_;
  std::string message_;
  ServerTime sent_us_ = 0;
};

// Where a connection begins.
struct PgoutputBegin {
  daystream::Lsn lsn;
  daystream::Lsn confirmed;  // of the slot
  std::uint64_t next = 0;    // the server's next transaction id
  PublishedTables told;      // what the stream holds
  Published published;       // what the publication had when that was decided
  // What tables were at the slot's beginning, for a stream that begins with it.
  std::vector<pgoutput::ShapeRow> first_shapes;
};

// Ownership: borrows `server`, which streams already. The daystream's directory is locked.
class PgoutputSource {
 public:
  PgoutputSource(const Config& config, ReplicationStream& server, const PgoutputBegin& begin);

  ReplicationStream& stream() noexcept { return stream_; }
  // The stream has to say that it holds other tables. It ends the stream with ConnectionLost.
  const std::optional<PublicationChange>& changed() const noexcept { return changed_; }

 private:
  void on_data();
  void on_left(const std::vector<pgoutput::Decoder::Left>& left);
  [[noreturn]] void end();

  const std::string publication_;
  const PublishedTables told_;
  std::optional<PublicationChange> changed_;
  pgoutput::Spool spool_;
  pgoutput::ShapeLog log_;
  pgoutput::Decoder decoder_;
  PublicationWatch watch_;
  PgoutputStream stream_;
};

}  // namespace deltastream
