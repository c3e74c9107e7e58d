#include "pgoutput_stream.h"

#include <utility>

namespace deltastream {

namespace {

// Lines of one transaction gather up to this size, as they do in the plugin.
constexpr std::size_t kBatchBytes = 64 * 1024;

}  // namespace

PgoutputStream::PgoutputStream(ReplicationStream& server, pgoutput::Decoder& decoder,
                               std::function<void()> on_data,
                               std::function<void(const std::set<std::uint32_t>&)> on_unknown)
    : server_(server),
      decoder_(decoder),
      on_data_(std::move(on_data)),
      on_unknown_(std::move(on_unknown)) {}

std::optional<std::string_view> PgoutputStream::receive() {
  while (!decoder_.busy()) {
    const auto message = server_.receive();
    if (!message) return std::nullopt;
    const Frame frame = parse_frame(*message);
    const auto* const data = std::get_if<XLogData>(&frame);
    if (data == nullptr) return message;
    sent_us_ = data->sent_us;
    on_data_();
    decoder_.take(data->payload);
    if (const auto lines = made()) return lines;
  }
  // One piece of a transaction that is committed: in between, others are heard.
  decoder_.go_on(kBatchBytes);
  if (const auto lines = made()) return lines;
  return sign_of_life();
}

std::optional<std::string_view> PgoutputStream::made() {
  if (const auto unknown = decoder_.take_unknown(); !unknown.empty()) on_unknown_(unknown);
  const std::string& lines = decoder_.lines();
  if (!decoder_.at_commit() && lines.size() < kBatchBytes) return std::nullopt;
  message_ = encode_data(sent_us_, lines);
  decoder_.clear_lines();
  return message_;
}

// A keepalive that says no position.
std::string_view PgoutputStream::sign_of_life() {
  message_ = encode_keepalive({{}, sent_us_, false});
  return message_;
}

}  // namespace deltastream
