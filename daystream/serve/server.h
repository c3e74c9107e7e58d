// Serves daystreams over HTTP/1.1, read-only (PROTOCOL.md).
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "program/listen.h"
#include "program/notify.h"
#include "program/program.h"
#include "program/repeats.h"
#include "serve/acceptors.h"
#include "serve/access.h"
#include "serve/connection_limits.h"
#include "serve/libevent.h"
#include "serve/page.h"
#include "serve/request.h"
#include "serve/served.h"
#include "serve/status.h"
#include "serve/tls.h"
#include "serve/workers.h"

namespace daystream::fleet {
struct FleetView;
}

namespace daystream::serve {

class FleetRoute;

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
  // How the consumer groups in a stream's directory are, given how they were. Any thread calls
  // it, and it says itself what goes wrong. Empty: no group is shown.
  using Groups = std::vector<sharing::GroupStatus>;
  std::function<Groups(const std::filesystem::path& directory, const Groups& before)> groups;
};

// Where a response begins, and in which state its filter is there.
struct Opening {
  Beginning begin;
  std::optional<std::uint32_t> chain;  // nullopt: not known
  bool in_group = false;
};

// Threads: one, which run() is called on, answers all; `Workers` do for it what takes long.
class Server {
 public:
  // Opens the streams and the sockets. Throws ConfigError, IoError.
  explicit Server(const ServerOptions& options);
  ~Server();

  // Where it listens, as an URL each; a port that was 0 is the one that was found.
  std::vector<std::string> addresses() const;

  // Reads certificates and tokens again. A bad file leaves the old in force, and is logged.
  void reload() noexcept;

  // Serves until it is asked to stop, and reloads when it is asked to. Throws NeedsPerson once no
  // stream is left whose directory is there as it was.
  void run(program::Signals& signals);

 private:
  static void handle(evhttp_request* request, void* self);
  void set_up(evhttp* http, bool secure);
  void listen(const std::string& text);
  void serve_snapshots(const std::string& argument);
  void answer(evhttp_request* raw);
  // Answers the request, or with the refusal that `reply` throws.
  void answer_with(const Request& request, const std::function<void()>& reply);
  // Before the first header of an answer that takes as long as the peer likes.
  void require_room_to_stay(const Request& request);
  // What an answer needs is found out by `work` on a thread, which touches no member but what
  // says that it may be. What that returns then answers, on the loop. Either may throw a refusal.
  using Reply = std::function<void(const Request&)>;
  void answer_later(const Request& request, const Grant& grant, std::function<Reply()> work);
  // `reply`, once what is known of the streams that `grant` may see is not older than a second.
  void answer_sampled(const Request& request, const Grant& grant, Reply reply);
  void tell_stranger(const std::string& peer, const std::string& why);
  void keep_out_strangers(const Request& request) const;
  Grant admit(const Request& request) const;
  void route(const Request& request);
  // `what`: status, metrics or history.
  void reply_about_all(const Request&, const std::string& what, const Grant&);
  void route_stream(const Request&, Served&, const std::string& what, const Grant&);
  Served& served(const std::string& name, const Grant& grant);

  void reply_stream(const Request& request, Served& served, const Grant& grant);
  void follow(const Request& request, Served& served, const Grant& grant, const TableFilter& filter,
              Opening opening);
  void reply_info(const Request& request, Served& served, const Grant& grant);
  void reply_manifest(const Request& request, Served& served, const Grant& grant);
  void reply_extent(const Request& request, Served& served, const Grant& grant);
  void reply_seam(const Request& request, Served& served, const Grant& grant);
  void reply_timeline(const Request& request, Served& served, const Grant& grant);
  void reply_back(const Request& request, Served& served, const Grant& grant);
  void reply_snapshots(const Request& request, Served& served);
  void reply_snapshot(const Request& request, Served& served, const Grant& grant);
  void reply_fleet(const Request& request, const std::string& name, const Grant& grant);
  void take_mirror_report(const Request& request, const std::string& name, const Grant& grant);
  void reply_mirrors(const Request& request, const Grant& grant);
  std::optional<fleet::FleetView> fleet_for(const Grant& grant) const;
  void reply_page(const Request& request);
  void reply_health(const Request& request);
  void reply_to_copy(const Request& request, const Served& served, const Grant& grant);
  void take_copy(const Request& request, Served& served, const Grant& grant);
  void record_copies(Served& served);
  void bury_ended();
  void drop_dead() noexcept;
  // A directory that is not there as it was is served to nobody: followers would wait forever, or
  // get another stream's lines. Once none is left, run() ends.
  void look_at_places() noexcept;
  void take_samples(bool is_step) noexcept;
  // What is known of a stream and takes long to find out.
  struct Known {
    StreamSample stream;
    ServerOptions::Groups groups;
  };
  static Known known(const Served& served);
  void find_out(const std::string& name, Known& known) const;  // any thread
  static void put(Served& served, Known known);

  ServerOptions options_;
  std::size_t descriptors_;
  Loop loop_;
  std::optional<Tls> tls_;
  std::optional<Access> access_;
  Http http_;  // Unix sockets, and all without TLS
  Http https_;
  ConnectionLimits limits_;
  std::vector<program::ListenAddress> addresses_;
  Acceptors acceptors_;
  ServedStreams streams_;
  ServerFacts facts_;
  Page page_;
  std::unique_ptr<FleetRoute> fleet_;  // nullptr: no configuration is offered
  Event bury_;
  Event sample_;
  Event dead_;
  Event places_;
  bool sampling_ = false;
  program::Notify notify_;
  program::Repeats strangers_;
  program::Repeats sample_troubles_;  // of who takes samples
  Workers workers_;  // the last: what it still runs is done with before anything else goes
};

}  // namespace daystream::serve
