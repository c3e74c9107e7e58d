// A replication stream of pgoutput as one of our plugin's lines.
#pragma once

#include <functional>
#include <string>

#include "pgoutput/decoder.h"
#include "replication_stream.h"

namespace deltastream {

// Ownership: borrows both.
class PgoutputStream final : public ReplicationStream {
 public:
  // `on_data` is called with each message of the server's that is no keepalive, `on_unknown` with
  // tables whose shape is to be told again (see Decoder::take_unknown()). Both may throw.
  PgoutputStream(ReplicationStream& server, pgoutput::Decoder& decoder,
                 std::function<void()> on_data,
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
  const std::function<void(const std::set<std::uint32_t>&)> on_unknown_;
  std::string message_;
  ServerTime sent_us_ = 0;
};

}  // namespace deltastream
