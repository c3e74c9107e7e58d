// Serves daystreams over HTTP/1.1, read-only (PROTOCOL.md).
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "serve/connection_limits.h"
#include "serve/copies.h"
#include "serve/follower.h"
#include "serve/libevent.h"
#include "serve/listen.h"
#include "serve/request.h"
#include "serve/served_stream.h"

namespace daystream::serve {

struct ServerOptions {
  std::vector<std::string> streams;  // DIR or NAME=DIR
  std::vector<std::string> listen{"127.0.0.1:8447"};
  Limits limits;
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

  // Serves until `stop_fd` is readable and `stop` says so.
  void run(int stop_fd, const std::function<bool()>& stop);

 private:
  struct Served {
    std::unique_ptr<ServedStream> stream;
    Copies copies;
    std::list<std::unique_ptr<Follower>> followers;
    std::uint64_t sent_bytes = 0;  // to followers that have gone
  };

  static void handle(evhttp_request* request, void* self);
  void answer(evhttp_request* raw);
  void route(const Request& request);
  Served& served(const std::string& name);

  void reply_stream(const Request& request, Served& served);
  void reply_info(const Request& request, Served& served);
  void reply_seam(const Request& request, Served& served);
  void take_copy(const Request& request, Served& served);
  void bury_ended();

  ServerOptions options_;
  Loop loop_;
  Http http_;
  ConnectionLimits limits_;
  std::vector<ListenAddress> addresses_;
  std::map<std::string, Served> streams_;
  Event bury_;
};

}  // namespace daystream::serve
