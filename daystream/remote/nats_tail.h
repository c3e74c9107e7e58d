// What is at the end of a daystream on JetStream.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "remote/nats_link.h"
#include "remote/nats_range.h"

namespace daystream::remote {

// Of a few requests, however much the stream holds, which its leader answers.
struct NatsTail {
  std::string created;  // of the stream, by the server
  std::string prefix;   // of its subjects; empty: it has no message
  std::uint64_t last_sequence = 0;
  std::vector<std::int64_t> days;  // with a message, oldest first
  // The newest that are whole; their sequences are 0 where there is none.
  std::optional<NatsManifest> manifest;
  std::uint64_t manifest_sequence = 0;
  std::optional<NatsRange> range;
  std::uint64_t range_sequence = 0;
  // Behind the newest range that is whole was another one, or may have been: what is known of that.
  // Empty: nothing is missing there.
  std::string lost;
  std::uint64_t lost_sequence = 0;

  // Whether the manifest is the one that held when the range was published, or a newer one.
  bool has_manifest_of_range() const;
};

// The answer to STREAM.INFO, with its subjects; nullopt: there is no such stream.
std::optional<nlohmann::json> nats_info(NatsLink& link, const std::string& stream);
// `info`: what nats_info() said.
NatsTail nats_tail(NatsLink& link, const nlohmann::json& info);

}  // namespace daystream::remote
