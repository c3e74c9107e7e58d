#include "remote/nats_link.h"

#include <algorithm>
#include <utility>

#include "program/json.h"
#include "remote/nats_handles.h"

namespace daystream::remote {

namespace {

using nlohmann::json;

constexpr std::int64_t kConnectMs = 3000;
constexpr std::int64_t kPingMs = 4000;
constexpr int kMostUnsendable = 8;  // signatures in a row
constexpr const char* kNoJetStreamHint =
    "give it \"jetstream {}\" in its configuration, and our account there";

void no_error_output(natsConnection*, natsSubscription*, natsStatus, void*) {}

}  // namespace

// Without the place in its sources, "(conn.c:2088): ", that libnats puts before it.
std::string nats_error_text(natsStatus status) {
  const char* said = nats_GetLastError(nullptr);
  std::string_view text = said != nullptr ? said : "";
  const auto end = text.find("): ");
  if (text.starts_with('(') && end != std::string_view::npos) text.remove_prefix(end + 3);
  return text.empty() ? natsStatus_GetText(status) : std::string(text);
}

NatsMessage taken(natsMsg* message, std::uint64_t sequence) {
  NatsMessage out;
  out.sequence = sequence;
  out.subject = natsMsg_GetSubject(message);
  out.data.assign(natsMsg_GetData(message),
                  static_cast<std::size_t>(natsMsg_GetDataLength(message)));
  const char** keys = nullptr;
  int count = 0;
  if (natsMsgHeader_Keys(message, &keys, &count) != NATS_OK) return out;
  for (int i = 0; i < count; ++i) {
    const char* value = nullptr;
    if (natsMsgHeader_Get(message, keys[i], &value) == NATS_OK && value != nullptr) {
      out.headers[keys[i]] = value;
    }
  }
  std::free(static_cast<void*>(keys));
  return out;
}

// ---- a connection ------------------------------------------------------------------------------

NatsLink::Impl::Impl(const NatsAddress& address) : address_(address), signer_(address.who) {
  connect();
  jsOptions js_options;
  jsOptions_Init(&js_options);
  js_options.Wait = kAnswerMs;
  if (!address_.domain.empty()) js_options.Domain = address_.domain.c_str();
  jsCtx* context = nullptr;
  require(natsConnection_JetStream(&context, connection_.get(), &js_options));
  context_.reset(context);
}

void NatsLink::Impl::connect() {
  natsOptions* raw = nullptr;
  require(natsOptions_Create(&raw));
  const OwnedOptions options(raw);
  set_place(raw);
  set_identity(raw);
  require(signer_.set(raw));
  natsConnection* connection = nullptr;
  natsStatus status = natsConnection_Connect(&connection, raw);
  for (int tries = 1; status != NATS_OK && signer_.had_unsendable(); ++tries) {
    if (tries == kMostUnsendable) break;
    status = natsConnection_Connect(&connection, raw);
  }
  if (status != NATS_OK) throw_not_connected(status);
  connection_.reset(connection);
}

void NatsLink::Impl::set_place(natsOptions* options) const {
  std::vector<const char*> servers;
  for (const std::string& server : address_.servers) servers.push_back(server.c_str());
  require(natsOptions_SetServers(options, servers.data(), static_cast<int>(servers.size())));
  require(natsOptions_SetName(options, fmt::format("daystream on {}", own_host()).c_str()));
  require(natsOptions_SetTimeout(options, kConnectMs));
  require(natsOptions_SetPingInterval(options, kPingMs));
  require(natsOptions_SetMaxPingsOut(options, 2));
  require(natsOptions_SetAllowReconnect(options, false));
  require(natsOptions_SetErrorHandler(options, no_error_output, nullptr));
}

void NatsLink::Impl::set_identity(natsOptions* options) const {
  const Options& who = address_.who;
  const auto file = [this](natsStatus status, const char* what, const std::string& path) {
    if (status == NATS_OK) return;
    throw NeedsPerson(fmt::format("{}: cannot use {} \"{}\": {}", address_.name(), what, path,
                                  nats_error_text(status)),
                      "name a file that this user may read, in PEM");
  };
  if (address_.tls) require(natsOptions_SetSecure(options, true));
  if (!who.ca.empty()) {
    file(natsOptions_LoadCATrustedCertificates(options, who.ca.c_str()), "CA file", who.ca);
  }
  if (!who.cert.empty()) {
    file(natsOptions_LoadCertificatesChain(options, who.cert.c_str(), who.key.c_str()),
         "certificate", who.cert);
  }
  for (const std::string& server : address_.servers) {
    const std::string token = token_for(who, server, address_.tls);
    if (!token.empty()) require(natsOptions_SetToken(options, token.c_str()));
  }
}

ConnectionLost NatsLink::Impl::lost(const std::string& why) const {
  return ConnectionLost(fmt::format("{}: {}", address_.name(), why),
                        "look whether nats-server runs there, with JetStream");
}

ConnectionLost NatsLink::Impl::refused(const std::string& why, const std::string& hint) const {
  return ConnectionLost(fmt::format("{}: {}", address_.name(), why), hint, Reason::Refused);
}

void NatsLink::Impl::require_permission() const {
  const char* text = nullptr;
  if (!connection_ || natsConnection_GetLastError(connection_.get(), &text) != NATS_NOT_PERMITTED) {
    return;
  }
  throw refused(fmt::format("the server does not let us do that: {}", text),
                "see the rights that a user needs, docs/jetstream.md#rights");
}

void NatsLink::Impl::require(natsStatus status) const {
  if (status == NATS_OK) return;
  if (status == NATS_TIMEOUT) require_permission();
  if (status == NATS_NO_RESPONDERS) throw lost("no server there has JetStream now");
  throw lost(natsStatus_GetText(status));
}

void NatsLink::Impl::throw_not_connected(natsStatus status) const {
  const std::string why = nats_error_text(status);
  const auto says = [&why](const char* word) { return why.find(word) != std::string::npos; };
  switch (status) {
    case NATS_CONNECTION_AUTH_FAILED:
    case NATS_NOT_PERMITTED:
      if (says("imeout")) throw lost(why);
      throw refused(fmt::format("the server does not let us in: {}", why),
                    "see --creds, --nkey, --token-file, --cert and --key");
    case NATS_SSL_ERROR:
    case NATS_SECURE_CONNECTION_WANTED:
    case NATS_SECURE_CONNECTION_REQUIRED:
      throw refused(fmt::format("no connection with TLS: {}", why),
                    "see --ca, --cert and --key, and tls=1 in the address");
    default:
      break;
  }
  // With TLS 1.3 a server looks at our certificate once we take the handshake for done.
  const Options& who = address_.who;
  const bool has_tls = address_.tls || !who.ca.empty() || !who.cert.empty();
  if ((has_tls && says("Expected 'PONG', got ''")) || says("SSL_write") || says("SSL_read")) {
    throw refused("with TLS, the server ended the connection before it began",
                  "it does not accept our certificate, or asks for one: see --cert and --key");
  }
  throw lost(why);
}

// ---- what it is asked --------------------------------------------------------------------------

std::optional<json> NatsLink::Impl::api(const std::string& what, const json& request) {
  const std::string subject = fmt::format(
      "{}.{}", address_.domain.empty() ? "$JS.API" : "$JS." + address_.domain + ".API", what);
  const std::string body = request.is_null() ? "" : request.dump();
  natsMsg* raw = nullptr;
  const natsStatus status =
      natsConnection_Request(&raw, connection_.get(), subject.c_str(), body.data(),
                             static_cast<int>(body.size()), kAnswerMs);
  // Through a leaf node it may be that the hub is away.
  if (status == NATS_NO_RESPONDERS && address_.domain.empty()) {
    throw refused("no server there has JetStream", kNoJetStreamHint);
  }
  require(status);
  const OwnedMessage message(raw);
  json answer = program::parse_json<json>(
      {natsMsg_GetData(raw), static_cast<std::size_t>(natsMsg_GetDataLength(raw))});
  if (!answer.is_object()) throw lost("its answer cannot be understood");
  const auto error = answer.find("error");
  if (error == answer.end() || !error->is_object()) return answer;
  const int code = error->value("code", 0);
  if (code == 404) return std::nullopt;
  const std::string text = program::text_of(*error, "description");
  const int number = error->value("err_code", 0);
  constexpr int kNoPeers = 10005;  // as while servers of a cluster are away
  constexpr int kNotForAccount = 10039;
  constexpr int kNotEnabled = 10076;
  if (number == kNotForAccount || number == kNotEnabled) {
    throw refused(fmt::format("it has no JetStream for us: {}", text), kNoJetStreamHint);
  }
  if (code >= 500 || number == kNoPeers) throw lost(text);
  throw NeedsPerson(fmt::format("{}: the server refuses {}: {}", address_.name(), what, text),
                    "look at the limits and rights of our account there");
}

std::optional<NatsMessage> NatsLink::Impl::first_from(std::uint64_t sequence,
                                                      const std::string& subject) {
  jsDirectGetMsgOptions wanted;
  jsDirectGetMsgOptions_Init(&wanted);
  wanted.Sequence = sequence;
  wanted.NextBySubject = subject.c_str();
  natsMsg* raw = nullptr;
  const natsStatus status =
      js_DirectGetMsg(&raw, context_.get(), address_.stream.c_str(), nullptr, &wanted);
  return one(raw, status);
}

std::optional<NatsMessage> NatsLink::Impl::message(std::uint64_t sequence) {
  natsMsg* raw = nullptr;
  jsErrCode code{};
  const natsStatus status =
      js_GetMsg(&raw, context_.get(), address_.stream.c_str(), sequence, nullptr, &code);
  return one(raw, status);
}

std::optional<NatsMessage> NatsLink::Impl::last_of(const std::string& subject) {
  natsMsg* raw = nullptr;
  jsErrCode code{};
  const natsStatus status =
      js_GetLastMsg(&raw, context_.get(), address_.stream.c_str(), subject.c_str(), nullptr, &code);
  return one(raw, status);
}

std::optional<NatsMessage> NatsLink::Impl::one(natsMsg* raw, natsStatus status) const {
  const OwnedMessage message(raw);
  if (status == NATS_NOT_FOUND) return std::nullopt;
  require(status);
  return taken(raw, natsMsg_GetSequence(raw));
}

void NatsLink::Impl::require_room(std::size_t size) const {
  constexpr std::int64_t kHeaders = 4096;
  const std::int64_t most = natsConnection_GetMaxPayload(connection_.get());
  if (static_cast<std::int64_t>(size) + kHeaders <= most) return;
  throw NeedsPerson(fmt::format("{}: the server takes no message of {} bytes, but of {}",
                                address_.name(), size, most),
                    "set max_payload in its configuration to 1MB or more");
}

ConnectionLost NatsLink::Impl::not_stored(const std::string& why) const {
  return ConnectionLost(fmt::format("{}: {}", address_.name(), why),
                        "look at the stream with \"nats stream info\"");
}

bool NatsLink::Impl::store_behind(std::uint64_t last, const std::string& subject,
                                  const Headers& headers, std::string_view data) {
  require_room(data.size());
  natsMsg* raw = nullptr;
  require(
      natsMsg_Create(&raw, subject.c_str(), nullptr, data.data(), static_cast<int>(data.size())));
  const OwnedMessage message(raw);
  const auto set = [&](const char* key, const std::string& value) {
    require(natsMsgHeader_Set(message.get(), key, value.c_str()));
  };
  for (const auto& [key, value] : headers) set(key.c_str(), value);
  set("Nats-Expected-Last-Sequence", std::to_string(last));
  set("Nats-Expected-Stream", address_.stream);
  raw = nullptr;
  const natsStatus status =
      natsConnection_RequestMsg(&raw, connection_.get(), message.get(), kAnswerMs);
  const OwnedMessage reply(raw);
  if (status == NATS_TIMEOUT) require_permission();
  if (status == NATS_NO_RESPONDERS) throw not_stored("no server there has the stream now");
  if (status != NATS_OK) throw not_stored(natsStatus_GetText(status));
  const json said = program::parse_json<json>(
      {natsMsg_GetData(raw), static_cast<std::size_t>(natsMsg_GetDataLength(raw))});
  if (!said.is_object()) throw not_stored("its answer cannot be understood");
  if (const auto error = said.find("error"); error != said.end() && error->is_object()) {
    constexpr int kWrongLastSequence = 10071;
    if (error->value("err_code", 0) == kWrongLastSequence) return false;
    throw not_stored(program::text_of(*error, "description"));
  }
  const std::uint64_t sequence = said.value("seq", std::uint64_t{0});
  if (sequence != last + 1 || said.value("duplicate", false)) {
    throw not_stored(fmt::format("it stored message {} where {} was to be", sequence, last + 1));
  }
  return true;
}

NatsLink::NatsLink(const NatsAddress& address) : impl_(std::make_unique<Impl>(address)) {}
NatsLink::~NatsLink() = default;

void NatsLink::require_open() const {
  impl_->require_open();
}
std::optional<json> NatsLink::api(const std::string& what, const json& request) {
  return impl_->api(what, request);
}
std::optional<NatsMessage> NatsLink::first_from(std::uint64_t sequence,
                                                const std::string& subject) {
  return impl_->first_from(sequence, subject);
}
std::optional<NatsMessage> NatsLink::message(std::uint64_t sequence) {
  return impl_->message(sequence);
}
std::optional<NatsMessage> NatsLink::last_of(const std::string& subject) {
  return impl_->last_of(subject);
}
bool NatsLink::store_behind(std::uint64_t last, const std::string& subject, const Headers& headers,
                            std::string_view data) {
  return impl_->store_behind(last, subject, headers, data);
}

}  // namespace daystream::remote
