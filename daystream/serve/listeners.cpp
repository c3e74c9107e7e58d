#include "serve/listeners.h"

#include <event2/bufferevent.h>
#include <event2/http.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "daystream/error.h"
#include "serve/descriptors.h"

namespace daystream::serve {

namespace {

constexpr int kMostHeaderBytes = 16 * 1024;
constexpr int kMostBodyBytes = 64 * 1024;

// No limit is above what the process can hold: one that is not reached protects nobody.
Limits limits_within(Limits limits, std::size_t descriptors) {
  const std::size_t wanted = limits.connections;
  limits.connections = std::min(limits.connections, connections_within(descriptors));
  // One address alone never takes all of it.
  limits.connections_per_address = std::min(limits.connections_per_address,
                                            std::max<std::size_t>(1, limits.connections * 3 / 4));
  const bool fewer = limits.connections < wanted;
  spdlog::log(
      fewer ? spdlog::level::warn : spdlog::level::info,
      "at most {} connections, {} of one address, with {} descriptors{}", limits.connections,
      limits.connections_per_address, descriptors,
      fewer ? ": raise the hard limit of open files (LimitNOFILE=, ulimit -Hn) for more" : "");
  return limits;
}

}  // namespace

Listeners::Listeners(event_base* loop, const TlsFiles& tls, const Limits& limits, Calls calls)
    : calls_(std::move(calls)),
      needs_certificate_(tls.need_client),
      http_(evhttp_new(loop)),
      limits_(loop, limits_within(limits, raise_descriptor_limit())),
      acceptors_(loop) {
  if (tls.wanted()) {
    tls_.emplace(tls, [this](int fd, const std::string& why) {
      calls_.kept_out(ConnectionLimits::address_of(fd), "no TLS: " + why);
    });
    https_.reset(evhttp_new(loop));
    set_up(https_.get(), true, limits);
  }
  set_up(http_.get(), false, limits);
}

Listeners::~Listeners() {
  for (const program::ListenAddress& address : addresses_) {
    if (address.is_unix()) unlink(address.path.c_str());
  }
}

void Listeners::set_up(evhttp* http, bool secure, const Limits& limits) {
  evhttp_set_max_headers_size(http, kMostHeaderBytes);
  evhttp_set_max_body_size(http, kMostBodyBytes);
  evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
  evhttp_set_timeout(http, static_cast<int>(limits.request_time.count()));
  evhttp_set_gencb(
      http,
      [](evhttp_request* request, void* self) {
        static_cast<Listeners*>(self)->calls_.asked(request);
      },
      this);
  const auto plain_connection = [](event_base* loop, void* self) {
    bufferevent* connection = bufferevent_socket_new(loop, -1, BEV_OPT_CLOSE_ON_FREE);
    static_cast<Listeners*>(self)->limits_.expect(connection);
    return connection;
  };
  const auto secure_connection = [](event_base* loop, void* self) {
    auto* listeners = static_cast<Listeners*>(self);
    bufferevent* connection = listeners->tls_->accept(loop);
    if (connection != nullptr) listeners->limits_.expect(connection);
    return connection;
  };
  if (secure) {
    evhttp_set_bevcb(http, secure_connection, this);
  } else {
    evhttp_set_bevcb(http, plain_connection, this);
  }
}

// Who can reach a loopback address or a Unix socket is on this machine. To others nothing is
// said in the clear, and nothing without knowing who they are.
void Listeners::listen(const std::string& text, bool authenticates) {
  program::ListenAddress address = program::ListenAddress::parse(text);
  if (!address.is_local() && !(tls_ && authenticates)) {
    throw ConfigError(
        fmt::format("cannot listen on \"{}\" without TLS and authentication", address.text()),
        "give --tls-cert and --tls-key, and --tokens or --client-ca; or listen on a loopback "
        "address");
  }
  if (address.is_unix() && needs_certificate_) {
    throw ConfigError(
        fmt::format("cannot listen on \"{}\" with --client-ca and no --tokens", address.text()),
        "who comes by a Unix socket shows no certificate: give --tokens");
  }
  const UniqueFd fd = program::listen_on(address);
  evhttp* http = tls_ && !address.is_unix() ? https_.get() : http_.get();
  const int owned_by_http = fcntl(fd.get(), F_DUPFD_CLOEXEC, 0);
  if (owned_by_http < 0 || !acceptors_.add(http, owned_by_http)) {
    throw Error(fmt::format("could not accept connections on \"{}\"", address.text()),
                "choose another address with --listen");
  }
  addresses_.push_back(address);
}

std::vector<std::string> Listeners::urls() const {
  std::vector<std::string> urls;
  for (const program::ListenAddress& address : addresses_) {
    const char* scheme = tls_ ? "https://" : "http://";
    urls.push_back(address.is_unix() ? address.text() : scheme + address.text());
  }
  return urls;
}

void Listeners::reload_tls() {
  if (tls_) tls_->reload();
}

}  // namespace daystream::serve
