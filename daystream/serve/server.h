// Serves daystreams over HTTP/1.1, read-only (PROTOCOL.md).
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "serve/access.h"
#include "serve/connection_limits.h"
#include "serve/libevent.h"
#include "serve/listen.h"
#include "serve/page.h"
#include "serve/request.h"
#include "serve/served.h"
#include "serve/status.h"
#include "serve/tls.h"

namespace daystream::serve {

struct ServerOptions {
  std::vector<std::string> streams;  // DIR or NAME=DIR
  std::vector<std::string> listen{"127.0.0.1:8447"};
  TlsFiles tls;
  std::string tokens;  // file of who may read what; empty: everybody who reaches us
  Limits limits;
  std::vector<std::string> snapshots;  // DIR, of the only stream, or NAME=DIR
  bool record_copies = false;  // write into a stream's directory what its relays have on disk
  std::chrono::seconds stall{60};
};

// Threads: one, which run() is called on.
class Server {
 public:
  // Opens the streams and the sockets. Throws ConfigError, IoError.
  explicit Server(const ServerOptions& options);
  ~Server();

  // Where it listens, as an URL each; a port that was 0 is the one that was found.
  std::vector<std::string> addresses() const;

  // Reads certificates and tokens again. A bad file leaves the old in force, and is logged.
  void reload() noexcept;

  // Serves until `stop_fd` is readable and `stop` says so.
  void run(int stop_fd, const std::function<bool()>& stop);

 private:
  static void handle(evhttp_request* request, void* self);
  void set_up(evhttp* http, bool secure);
  void listen(const std::string& text);
  void serve_snapshots(const std::string& argument);
  void answer(evhttp_request* raw);
  Grant admit(const Request& request) const;
  void route(const Request& request);
  Served& served(const std::string& name, const Grant& grant);

  void reply_stream(const Request& request, Served& served, const Grant& grant);
  void reply_info(const Request& request, Served& served, const Grant& grant);
  void reply_manifest(const Request& request, Served& served, const Grant& grant);
  void reply_seam(const Request& request, Served& served);
  void reply_back(const Request& request, Served& served);
  void reply_snapshots(const Request& request, Served& served);
  void reply_snapshot(const Request& request, Served& served, const Grant& grant);
  void reply_page(const Request& request);
  void take_copy(const Request& request, Served& served, const Grant& grant);
  void bury_ended();
  void drop_dead() noexcept;
  void take_samples() noexcept;

  ServerOptions options_;
  Loop loop_;
  std::optional<Tls> tls_;
  std::optional<Access> access_;
  Http http_;  // Unix sockets, and all without TLS
  Http https_;
  ConnectionLimits limits_;
  std::vector<ListenAddress> addresses_;
  ServedStreams streams_;
  ServerFacts facts_;
  Page page_;
  Event bury_;
  Event sample_;
  Event dead_;
};

}  // namespace daystream::serve
