#include "serve/server.h"

#include <event2/bufferevent.h>
#include <event2/http.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "daystream/error.h"
#include "program/hint.h"
#include "serve/descriptors.h"
#include "serve/fleet_route.h"

namespace daystream::serve {

namespace {

constexpr int kMostHeaderBytes = 16 * 1024;
constexpr int kMostBodyBytes = 64 * 1024;
constexpr const char* kFleet = "fleet";  // before the names of mirrors in URLs
constexpr std::chrono::seconds kLookForDead{5};
constexpr const char* kLostHint =
    "bring the directory back, or start \"daystream serve\" again to serve what is there now";

bool is_plain_name(std::string_view name) {
  return !name.empty() && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) || c == '-' || c == '_' || c == '.';
         });
}

// DIR, served under the name of its manifest, or NAME=DIR.
std::pair<std::string, std::string> name_and_directory(const std::string& argument) {
  const auto equals = argument.find('=');
  if (equals != std::string::npos && is_plain_name(argument.substr(0, equals))) {
    return {argument.substr(0, equals), argument.substr(equals + 1)};
  }
  return {Manifest::load(argument).name, argument};
}

// libevent's own words, which it would write to standard error as they are.
void log_of_libevent(int severity, const char* message) {
  if (severity <= EVENT_LOG_MSG) {
    spdlog::debug("libevent: {}", message);
  } else {
    spdlog::warn("libevent: {}", message);
  }
}

// No limit is above what the process can hold: one that is not reached protects nobody.
Limits limits_within(Limits limits, std::size_t descriptors) {
  limits.connections = std::min(limits.connections, connections_within(descriptors));
  // One address alone never takes all of it.
  limits.connections_per_address = std::min(limits.connections_per_address,
                                            std::max<std::size_t>(1, limits.connections * 3 / 4));
  return limits;
}

}  // namespace

Server::Server(const ServerOptions& options)
    : options_(options),
      descriptors_(raise_descriptor_limit()),
      loop_([] {
        event_set_log_callback(log_of_libevent);
        const std::unique_ptr<event_config, void (*)(event_config*)> config(event_config_new(),
                                                                            event_config_free);
        // A response that is written and goes quiet again costs no call to epoll.
        event_config_set_flag(config.get(), EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
        return event_base_new_with_config(config.get());
      }()),
      http_(evhttp_new(loop_.get())),
      limits_(loop_.get(), limits_within(options.limits, descriptors_)),
      acceptors_(loop_.get()),
      bury_(loop_.get(), -1, false, [this] { bury_ended(); }),
      sample_(loop_.get(), -1, true, [this] { take_samples(true); }),
      dead_(loop_.get(), -1, true, [this] { drop_dead(); }),
      places_(loop_.get(), -1, true, [this] { look_at_places(); }),
      workers_(loop_.get()) {
  facts_.since = std::time(nullptr);
  if (!options_.tokens.empty()) access_.emplace(options_.tokens);
  if (options_.tls.wanted()) {
    // Who has no token to show needs a certificate.
    options_.tls.need_client = !options_.tls.client_ca.empty() && !access_;
    tls_.emplace(options_.tls, [this](int fd, const std::string& why) {
      tell_stranger(ConnectionLimits::address_of(fd), "no TLS: " + why);
    });
    https_.reset(evhttp_new(loop_.get()));
    set_up(https_.get(), true);
  }
  set_up(http_.get(), false);
  for (const std::string& argument : options.streams) {
    auto [name, directory] = name_and_directory(argument);
    if (!is_plain_name(name)) {
      throw ConfigError(fmt::format("\"{}\" cannot be part of an URL", name),
                        "name the stream yourself: NAME=DIR, of letters, digits, - _ .");
    }
    if (streams_.count(name) != 0) {
      throw ConfigError(fmt::format("two daystreams are called \"{}\"", name),
                        "name them yourself: NAME=DIR");
    }
    Served& served = streams_[name];
    served.stream = std::make_unique<ServedStream>(loop_.get(), name, directory);
    served.stream->on_more([&served] {
      for (const auto& follower : served.followers) follower->pump();
    });
  }
  for (const std::string& argument : options.snapshots) serve_snapshots(argument);
  if (!options.fleet.empty()) {
    if (streams_.count(kFleet) != 0) {
      throw ConfigError(
          fmt::format("a daystream is called \"{}\", as the configurations of --fleet", kFleet),
          "serve it by another name: NAME=DIR");
    }
    fleet_ = std::make_unique<FleetRoute>(loop_.get(), workers_, options.fleet, options.stall);
  }
  for (const std::string& text : options.listen) listen(text);
  sample_.start(RateSamples::kStep);
  dead_.start(kLookForDead);
  places_.start(PlaceWatch::kBetweenLooks);
  take_samples(false);
  const Limits limits = limits_within(options_.limits, descriptors_);
  const bool fewer = limits.connections < options_.limits.connections;
  spdlog::log(
      fewer ? spdlog::level::warn : spdlog::level::info,
      "at most {} connections, {} of one address, with {} descriptors{}", limits.connections,
      limits.connections_per_address, descriptors_,
      fewer ? ": raise the hard limit of open files (LimitNOFILE=, ulimit -Hn) for more" : "");
}

void Server::serve_snapshots(const std::string& argument) {
  const auto equals = argument.find('=');
  const bool named = equals != std::string::npos && streams_.count(argument.substr(0, equals)) != 0;
  if (!named && streams_.size() != 1) {
    throw ConfigError(fmt::format("snapshots in \"{}\" are of no stream that is served", argument),
                      "say of which they are: --snapshots NAME=DIR");
  }
  Served& served = named ? streams_[argument.substr(0, equals)] : streams_.begin()->second;
  served.snapshots = std::make_unique<Snapshots>(named ? argument.substr(equals + 1) : argument);
}

void Server::drop_dead() noexcept {
  for (auto& [name, served] : streams_) {
    for (const auto* list : {&served.followers, &served.downloads}) {
      for (const auto& follower : *list) {
        if (!follower->is_dead()) continue;
        spdlog::info("follower {}: its host is gone", follower->facts().host);
        follower->drop();
      }
    }
  }
}

void Server::look_at_places() noexcept {
  notify_.alive();
  bool any = false;
  const bool none_is_left = std::all_of(streams_.begin(), streams_.end(), [](const auto& each) {
    return !each.second.stream->lost().empty();
  });
  for (auto& [name, served] : streams_) {
    const std::string lost = served.stream->lost();
    if (lost != served.lost) {
      if (lost.empty()) {
        spdlog::info("daystream \"{}\" is there again", name);
      } else {
        spdlog::error(
            "{}", program::with_hint(fmt::format("{}: it is served to nobody{}", lost,
                                                 none_is_left ? "" : " until it is there again"),
                                     kLostHint));
      }
      served.lost = lost;
    }
    any |= lost.empty();
    if (lost.empty()) continue;
    for (const auto* list : {&served.followers, &served.downloads}) {
      for (const auto& follower : *list) follower->drop();
    }
  }
  if (!any) event_base_loopbreak(loop_.get());
}

Server::Known Server::known(const Served& served) {
  return {served.stream->latest(), served.groups};
}

void Server::find_out(const std::string& name, Known& known) const {
  const ServedStream& stream = *streams_.at(name).stream;
  known.stream = stream.sample(known.stream);
  if (options_.groups) known.groups = options_.groups(stream.directory(), known.groups);
}

void Server::put(Served& served, Known known) {
  served.stream->put(std::move(known.stream));
  served.groups = std::move(known.groups);
}

// What the streams are like is found out on a thread, whatever their size; a step of the history is
// what is known then.
void Server::take_samples(bool is_step) noexcept {
  if (sampling_) return;
  try {
    auto samples = std::make_shared<std::map<std::string, Known>>();
    for (auto& [name, served] : streams_) (*samples)[name] = known(served);
    sampling_ = workers_.run({}, [this, samples, is_step]() -> Workers::Finish {
      for (auto& [name, sample] : *samples) {
        try {
          find_out(name, sample);
        } catch (const std::exception& e) {
          const auto text = sample_troubles_.met(fmt::format("{}: {}", name, e.what()));
          if (text) spdlog::error("{}", *text);
        }
      }
      return [this, samples, is_step] {
        sampling_ = false;
        for (auto& [name, sample] : *samples) {
          Served& served = streams_.at(name);
          put(served, std::move(sample));
          if (is_step) served.take_step();
        }
      };
    });
  } catch (const std::exception& e) {
    spdlog::error("{}", e.what());
  }
}

void Server::set_up(evhttp* http, bool secure) {
  evhttp_set_max_headers_size(http, kMostHeaderBytes);
  evhttp_set_max_body_size(http, kMostBodyBytes);
  evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
  evhttp_set_timeout(http, static_cast<int>(options_.limits.request_time.count()));
  evhttp_set_gencb(http, handle, this);
  const auto plain_connection = [](event_base* loop, void* self) {
    bufferevent* connection = bufferevent_socket_new(loop, -1, BEV_OPT_CLOSE_ON_FREE);
    static_cast<Server*>(self)->limits_.expect(connection);
    return connection;
  };
  const auto secure_connection = [](event_base* loop, void* self) {
    auto* server = static_cast<Server*>(self);
    bufferevent* connection = server->tls_->accept(loop);
    if (connection != nullptr) server->limits_.expect(connection);
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
void Server::listen(const std::string& text) {
  program::ListenAddress address = program::ListenAddress::parse(text);
  const bool authenticates = access_ || options_.tls.need_client;
  if (!address.is_local() && !(tls_ && authenticates)) {
    throw ConfigError(
        fmt::format("cannot listen on \"{}\" without TLS and authentication", address.text()),
        "give --tls-cert and --tls-key, and --tokens or --client-ca; or listen on a loopback "
        "address");
  }
  if (address.is_unix() && options_.tls.need_client) {
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

void Server::reload() noexcept {
  const auto attempt = [](const char* what, const auto& action) {
    try {
      action();
      spdlog::info("read {} again", what);
    } catch (const std::exception& e) {
      spdlog::error("kept the {} that were in force: {}", what, e.what());
    }
  };
  if (tls_) attempt("certificates", [this] { tls_->reload(); });
  if (access_) attempt("tokens", [this] { access_->reload(); });
  if (fleet_) fleet_->look();
}

Server::~Server() {
  // Followers go before the HTTP server that their requests belong to.
  for (auto& [name, served] : streams_) {
    served.followers.clear();
    served.downloads.clear();
  }
  fleet_.reset();
  for (const program::ListenAddress& address : addresses_) {
    if (address.is_unix()) unlink(address.path.c_str());
  }
}

std::vector<std::string> Server::addresses() const {
  std::vector<std::string> urls;
  for (const program::ListenAddress& address : addresses_) {
    const char* scheme = tls_ ? "https://" : "http://";
    urls.push_back(address.is_unix() ? address.text() : scheme + address.text());
  }
  return urls;
}

void Server::run(program::Signals& signals) {
  Event signalled(loop_.get(), signals.fd(), true, [&] {
    signals.clear();
    if (signals.take_reload()) reload();
    if (signals.stop_requested()) event_base_loopbreak(loop_.get());
  });
  signalled.start();
  notify_.ready();
  event_base_dispatch(loop_.get());
  notify_.stopping();
  if (signals.stop_requested()) return;
  for (const auto& [name, served] : streams_) {
    if (served.lost.empty()) return;
  }
  throw NeedsPerson(streams_.begin()->second.lost, kLostHint);
}

}  // namespace daystream::serve
