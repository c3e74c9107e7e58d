// A connection to servers of NATS, and what we ask of JetStream there: libnats. It is the one part
// that includes its headers.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daystream/error.h"
#include "remote/nats_address.h"

namespace daystream::remote {

struct NatsMessage {
  std::uint64_t sequence = 0;
  std::string subject;
  std::map<std::string, std::string> headers;
  std::string data;
};

// Ended by its destructor, and of no use after it has thrown ConnectionLost: make another. The
// library's own reconnecting is off, because it would send again what we have to ask for first.
//
// Threads: one.
// Errors:  ConnectionLost, which says where the server refused us; NeedsPerson where a file of ours
// is
//          none.
class NatsLink {
 public:
  explicit NatsLink(const NatsAddress& address);
  NatsLink(const NatsLink&) = delete;
  NatsLink& operator=(const NatsLink&) = delete;
  ~NatsLink();

  // Throws ConnectionLost where the server has let go of us, which nothing else says while nothing
  // is asked of it.
  void require_open() const;

  // The answer to a request of JetStream's API, like STREAM.INFO.x. nullopt: what it is about is
  // not there. Throws NeedsPerson with what the server says where it refuses.
  std::optional<nlohmann::json> api(const std::string& what, const nlohmann::json& request);

  // The first message of `subject` with that sequence, or a later one. Any replica may answer, and
  // one that lags does not have it yet.
  std::optional<NatsMessage> first_from(std::uint64_t sequence, const std::string& subject);
  // The stream's leader answers these.
  std::optional<NatsMessage> message(std::uint64_t sequence);
  std::optional<NatsMessage> last_of(const std::string& subject);

  using Headers = std::vector<std::pair<std::string, std::string>>;
  // Stores a message of the address' stream behind the one of sequence `last`, as the next one, and
  // waits until it is there. False: it is not, because another one is the last there by now. Throws
  // NeedsPerson where the server takes none that is so large; ConnectionLost where it is not known
  // whether it is there: it may still come, but only behind `last`.
  //
  // One at a time, and the next only once this one is known to be there: with several on their way,
  // another publisher's message could take the place of the first, and the second, which asks for a
  // number only, would be stored behind that, so that the bytes of the first would never come.
  bool store_behind(std::uint64_t last, const std::string& subject, const Headers& headers,
                    std::string_view data);

  class Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

// Messages as they are stored, from one on. They come from a thread of its own, up to kMostWaiting
// bytes ahead of who takes them, over a connection of its own.
//
// Threads: one.
class NatsFeed {
 public:
  static constexpr std::size_t kMostWaiting = 8 * 1024 * 1024;

  // Of subjects that match `subjects`, as NATS has patterns.
  NatsFeed(const NatsAddress& address, const std::string& subjects, std::uint64_t first);
  NatsFeed(const NatsFeed&) = delete;
  NatsFeed& operator=(const NatsFeed&) = delete;
  ~NatsFeed();

  std::optional<NatsMessage> take();  // nullopt: none waits
  // Sleeps until one waits, it broke off, `wake_fd` (-1: none) is readable or the time is over.
  // True: one waits. Throws ConnectionLost once it has broken off and all that came was taken.
  bool wait(std::chrono::milliseconds timeout, int wake_fd);

  class Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace daystream::remote
