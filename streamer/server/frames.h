// The three messages of the streaming replication protocol that we meet (PostgreSQL manual,
// "Streaming Replication Protocol"): XLogData and keepalive from the server, status from us.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "daystream/lsn.h"

namespace deltastream {

// What the server says of its clock: microseconds since 1970 UTC.
using ServerTime = std::int64_t;

struct XLogData {
  daystream::Lsn lsn;
  ServerTime sent_us = 0;
  std::string_view payload;  // points into the message
};

struct Keepalive {
  daystream::Lsn lsn;  // everything up to here has been sent
  ServerTime sent_us = 0;
  bool reply_requested = false;
};

using Frame = std::variant<XLogData, Keepalive>;

// Throws ProtocolError on anything else.
Frame parse_frame(std::string_view message);

// Encodes such messages, for a stream that stands between the server and us.
std::string encode_data(ServerTime sent_us, std::string_view payload);
std::string encode_keepalive(const Keepalive& keepalive);

// How far we are, as the server wants it (docs/glossary.md#positions-and-watermarks).
struct StatusUpdate {
  daystream::Lsn written;
  daystream::Lsn flushed;
  ServerTime now_us = 0;
  bool ask_reply = false;
};
inline constexpr std::size_t kStatusUpdateSize = 1 + 8 + 8 + 8 + 8 + 1;
std::array<char, kStatusUpdateSize> encode(const StatusUpdate& update) noexcept;

}  // namespace deltastream
