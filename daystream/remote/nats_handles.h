// libnats, as nats_link.h has it: what its parts share.
#pragma once

#include <fmt/format.h>
#include <nats/nats.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "remote/nats_link.h"
#include "remote/nats_signer.h"

namespace daystream::remote {

inline constexpr std::int64_t kAnswerMs = 5000;

template <typename T, void (*Destroy)(T*)>
struct NatsDeleter {
  void operator()(T* value) const noexcept { Destroy(value); }
};
template <typename T, void (*Destroy)(T*)>
using NatsOwned = std::unique_ptr<T, NatsDeleter<T, Destroy>>;

using OwnedOptions = NatsOwned<natsOptions, natsOptions_Destroy>;
using OwnedConnection = NatsOwned<natsConnection, natsConnection_Destroy>;
using OwnedContext = NatsOwned<jsCtx, jsCtx_Destroy>;
using OwnedMessage = NatsOwned<natsMsg, natsMsg_Destroy>;
using OwnedSubscription = NatsOwned<natsSubscription, natsSubscription_Destroy>;

std::string nats_error_text(natsStatus status);  // what the library says of the last error
NatsMessage taken(natsMsg* message, std::uint64_t sequence);

class NatsLink::Impl {
 public:
  explicit Impl(const NatsAddress& address);

  std::optional<nlohmann::json> api(const std::string& what, const nlohmann::json& request);
  std::optional<NatsMessage> first_from(std::uint64_t sequence, const std::string& subject);
  std::optional<NatsMessage> message(std::uint64_t sequence);
  std::optional<NatsMessage> last_of(const std::string& subject);
  bool store_behind(std::uint64_t last, const std::string& subject, const Headers& headers,
                    std::string_view data);

  ConnectionLost lost(const std::string& why) const;
  ConnectionLost refused(const std::string& why, const std::string& hint) const;
  // Throws one of them where it is not NATS_OK.
  void require(natsStatus status) const;
  // Throws what the server said, where we may not do what it did not answer.
  void require_permission() const;
  void require_open() const {
    if (natsConnection_IsClosed(connection_.get())) throw lost("the connection was closed");
  }
  const NatsAddress& address() const noexcept { return address_; }
  // Ends the connection, and with it the thread that reads from it. A subscription may be destroyed
  // only then: libnats before 3.6.1 may still be handing a message to it.
  void close() noexcept { natsConnection_Close(connection_.get()); }
  natsConnection* connection() const noexcept { return connection_.get(); }
  jsCtx* context() const noexcept { return context_.get(); }

 private:
  void connect();
  std::optional<NatsMessage> one(natsMsg* raw, natsStatus status) const;
  void require_room(std::size_t size) const;
  ConnectionLost not_stored(const std::string& why) const;
  void set_place(natsOptions* options) const;
  void set_identity(natsOptions* options) const;
  [[noreturn]] void throw_not_connected(natsStatus status) const;

  const NatsAddress address_;
  NatsSigner signer_;
  OwnedConnection connection_;
  OwnedContext context_;
};

}  // namespace daystream::remote
