// Serves daystreams over HTTP/1.1, read-only (PROTOCOL.md).
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "program/notify.h"
#include "program/program.h"
#include "serve/admission.h"
#include "serve/answers.h"
#include "serve/connection_limits.h"
#include "serve/fleet_route.h"
#include "serve/libevent.h"
#include "serve/listeners.h"
#include "serve/routes.h"
#include "serve/streams.h"
#include "serve/tls.h"
#include "serve/workers.h"

namespace daystream::serve {

struct ServerOptions {
  std::vector<std::string> streams;  // DIR or NAME=DIR
  std::vector<std::string> listen{"127.0.0.1:8447"};
  TlsFiles tls;
  std::string tokens;  // file that says who may read what; empty: everybody
  Limits limits;
  std::vector<std::string> snapshots;  // DIR, of the only stream, or NAME=DIR
  std::string fleet;           // directory of mirrors' configurations; empty: none is offered
  bool record_copies = false;  // write into a stream's directory what its relays have on disk
  std::chrono::seconds stall{60};
  Streams::Groups groups;
};

// Threads: one, which run() is called on, answers all; `Workers` do for it what takes long.
class Server {
 public:
  // Opens the streams and the sockets. Throws ConfigError, IoError.
  explicit Server(const ServerOptions& options);

  // Where it listens, as an URL each; a port that was 0 is the one that was found.
  std::vector<std::string> addresses() const { return listeners_.urls(); }

  // Reads certificates and tokens again. A bad file leaves the old in force, and is logged.
  void reload() noexcept;

  // Serves until it is asked to stop, and reloads when it is asked to. Throws NeedsPerson once no
  // stream is left whose directory is there as it was.
  void run(program::Signals& signals);

 private:
  void answer(evhttp_request* raw);
  void look() noexcept;

  Loop loop_;
  Admission admission_;
  Listeners listeners_;  // followers and held answers go before the connections they belong to
  Answers answers_;
  Streams streams_;
  std::unique_ptr<FleetRoute> fleet_;  // nullptr: no configuration is offered
  Routes routes_;
  Event look_;
  program::Notify notify_;
  Workers workers_;  // the last: what it still runs is done with before anything else goes
};

}  // namespace daystream::serve
