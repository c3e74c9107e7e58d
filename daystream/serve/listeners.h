// Where the server can be reached, and what a connection has to pass before its request is looked
// at: the limits, and TLS.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "program/listen.h"
#include "serve/acceptors.h"
#include "serve/connection_limits.h"
#include "serve/libevent.h"
#include "serve/tls.h"

struct evhttp_request;

namespace daystream::serve {

// Threads: the loop's one. Not movable: libevent keeps its address.
class Listeners {
 public:
  struct Calls {
    std::function<void(evhttp_request*)> asked;  // a request is complete
    // A connection came to nothing before it could ask.
    std::function<void(const std::string& peer, const std::string& why)> kept_out;
  };

  // No limit that is in force is above what the process can hold. Throws ConfigError as Tls does.
  Listeners(event_base* loop, const TlsFiles& tls, const Limits& limits, Calls calls);
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;
  ~Listeners();  // files of Unix sockets go

  // `authenticates`: all who come have to show who they are. Throws ConfigError, IoError.
  void listen(const std::string& text, bool authenticates);
  const std::vector<program::ListenAddress>& addresses() const noexcept { return addresses_; }
  std::vector<std::string> urls() const;

  ConnectionLimits& limits() noexcept { return limits_; }
  bool has_tls() const noexcept { return tls_.has_value(); }
  void reload_tls();  // throws as the constructor; the old certificates stay then

 private:
  void set_up(evhttp* http, bool secure, const Limits& limits);

  Calls calls_;
  std::optional<Tls> tls_;
  bool needs_certificate_;
  Http http_;  // Unix sockets, and all without TLS
  Http https_;
  ConnectionLimits limits_;
  std::vector<program::ListenAddress> addresses_;
  Acceptors acceptors_;
};

}  // namespace daystream::serve
