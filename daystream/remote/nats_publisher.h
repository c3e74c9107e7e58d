// `daystream publish`: puts a daystream on JetStream as it grows.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "daystream/stop.h"
#include "daystream/stream.h"
#include "remote/nats_address.h"

namespace daystream::remote {

struct PublishRules {
  std::optional<int> replicas;             // of a stream that is made: 1; else as they are
  std::optional<std::uint64_t> keep_days;  // as of Housekeeping, there
  std::optional<std::uint64_t> keep_bytes;
  bool once = false;  // end when everything that is durable has been published
};

// Everything up to `durable`, in messages of kMostMessage bytes at most: a range of a day file
// each, cut between groups where that can be, and stored only behind the one before it. What is
// killed at any moment goes on behind the last message there.
//
// Several may publish copies of one stream: they do the same. One whose copy has other bytes, a
// fork, ends with NeedsPerson.
//
// Threads: one. The directory is only read.
class NatsPublisher {
 public:
  // `stream`: a directory, or one with an archive behind it.
  NatsPublisher(Stream stream, const NatsAddress& address, PublishRules rules);
  ~NatsPublisher();

  // Until `stop` is requested. Waits for a broker that is away. Throws NeedsPerson, WrongSource,
  // Corruption, PositionGone where days between were deleted here before they were published.
  void run(const Stop& stop);

  // Throws as run() where this stream cannot be published there; makes nothing.
  struct State {
    bool made = false;          // there is a stream by that name
    std::uint64_t waiting = 0;  // bytes of the days that are to come
  };
  State look();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace daystream::remote
