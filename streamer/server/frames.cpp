#include "server/frames.h"

#include <fmt/format.h>

#include "daystream/error.h"

namespace deltastream {

namespace {

// PostgreSQL counts from 2000-01-01.
constexpr std::int64_t kEpochDifferenceUs = 946'684'800LL * 1'000'000;

constexpr std::size_t kDataHeader = 1 + 8 + 8 + 8;
constexpr std::size_t kKeepalive = 1 + 8 + 8 + 1;

std::uint64_t read_u64(std::string_view bytes, std::size_t at) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  }
  return value;
}

// No clock shows a time so far away; sums and differences of nearer ones are numbers.
constexpr std::int64_t kFarthestUs = std::int64_t{1} << 60;

ServerTime read_time(std::string_view bytes, std::size_t at) {
  const auto time = static_cast<std::int64_t>(read_u64(bytes, at));
  if (time < -kFarthestUs || time > kFarthestUs) {
    throw daystream::ProtocolError(
        fmt::format("a message in the replication stream was sent {} us after 2000, which is no "
                    "time",
                    time));
  }
  return time + kEpochDifferenceUs;
}

char* put_u64(char* out, std::uint64_t value) noexcept {
  for (int shift = 56; shift >= 0; shift -= 8) *out++ = static_cast<char>(value >> shift & 0xff);
  return out;
}

}  // namespace

Frame parse_frame(std::string_view message) {
  if (message.size() >= kDataHeader && message[0] == 'w') {
    return XLogData{{read_u64(message, 1)}, read_time(message, 17), message.substr(kDataHeader)};
  }
  if (message.size() >= kKeepalive && message[0] == 'k') {
    return Keepalive{{read_u64(message, 1)}, read_time(message, 9), message[17] != 0};
  }
  if (message.empty()) throw daystream::ProtocolError("empty message in the replication stream");
  throw daystream::ProtocolError(
      fmt::format("message of type {:#04x} and {} bytes in the replication stream",
                  static_cast<unsigned char>(message[0]), message.size()));
}

std::string encode_data(ServerTime sent_us, std::string_view payload) {
  std::string out;
  out.reserve(kDataHeader + payload.size());
  out.assign(kDataHeader, '\0');
  out[0] = 'w';
  put_u64(out.data() + 17, static_cast<std::uint64_t>(sent_us - kEpochDifferenceUs));
  out += payload;
  return out;
}

std::string encode_keepalive(const Keepalive& keepalive) {
  std::string out(kKeepalive, '\0');
  out[0] = 'k';
  put_u64(out.data() + 1, keepalive.lsn.value);
  put_u64(out.data() + 9, static_cast<std::uint64_t>(keepalive.sent_us - kEpochDifferenceUs));
  out[17] = keepalive.reply_requested ? '\1' : '\0';
  return out;
}

std::array<char, kStatusUpdateSize> encode(const StatusUpdate& update) noexcept {
  std::array<char, kStatusUpdateSize> bytes{};
  char* out = bytes.data();
  *out++ = 'r';
  out = put_u64(out, update.written.value);
  out = put_u64(out, update.flushed.value);
  // What is in the daystream is as applied as it will ever be here (synchronous_commit
  // remote_apply then means: durable in the daystream).
  out = put_u64(out, update.flushed.value);
  out = put_u64(out, static_cast<std::uint64_t>(update.now_us - kEpochDifferenceUs));
  *out = update.ask_reply ? 1 : 0;
  return bytes;
}

}  // namespace deltastream
