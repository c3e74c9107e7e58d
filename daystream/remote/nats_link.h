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

  class Impl;
  Impl& impl() noexcept { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// Messages on their way to a stream, each of which is stored only behind the one before it.
//
// Threads: one. The link must outlive it, and is of no use after it.
class NatsOutbox {
 public:
  NatsOutbox(NatsLink& link, const std::string& stream);
  NatsOutbox(const NatsOutbox&) = delete;
  NatsOutbox& operator=(const NatsOutbox&) = delete;
  ~NatsOutbox();

  // To be stored behind the one of sequence `last`. Throws NeedsPerson where the server takes none
  // that is so large.
  void send(const std::string& subject, const NatsLink::Headers& headers, std::string_view data,
            std::uint64_t last);
  std::size_t waiting() const noexcept;  // for an answer

  // How it went with the oldest that waits. After another answer than Yes the outbox is of no use.
  enum class Stored {
    Yes,
    No,       // another one is the last there
    Unknown,  // no answer, or one that says that the server is in trouble: look
  };
  Stored take();
  const std::string& refusal() const noexcept;  // what the server said where it was not Yes

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
