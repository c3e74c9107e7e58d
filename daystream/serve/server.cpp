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

namespace daystream::serve {

namespace {

constexpr int kMostHeaderBytes = 16 * 1024;
constexpr int kMostBodyBytes = 64 * 1024;
constexpr std::chrono::seconds kLookForDead{5};

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

}  // namespace

Server::Server(const ServerOptions& options)
    : options_(options),
      loop_([] {
        const std::unique_ptr<event_config, void (*)(event_config*)> config(event_config_new(),
                                                                            event_config_free);
        // A response that is written and goes quiet again costs no call to epoll.
        event_config_set_flag(config.get(), EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
        return event_base_new_with_config(config.get());
      }()),
      http_(evhttp_new(loop_.get())),
      limits_(loop_.get(), options.limits),
      bury_(loop_.get(), -1, false, [this] { bury_ended(); }),
      sample_(loop_.get(), -1, true, [this] { take_samples(); }),
      dead_(loop_.get(), -1, true, [this] { drop_dead(); }) {
  facts_.since = std::time(nullptr);
  if (!options_.tokens.empty()) access_.emplace(options_.tokens);
  if (options_.tls.wanted()) {
    // Whoever has no token to show needs a certificate.
    options_.tls.need_client = !options_.tls.client_ca.empty() && !access_;
    tls_.emplace(options_.tls);
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
  for (const std::string& text : options.listen) listen(text);
  sample_.start(History::kStep);
  dead_.start(kLookForDead);
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

void Server::take_samples() noexcept {
  for (auto& [name, served] : streams_) {
    try {
      History::Step step;
      const std::uint64_t bytes = served.stream->grown_bytes();
      step.bytes_per_s = static_cast<double>(bytes - std::exchange(served.sampled_bytes, bytes)) /
                         static_cast<double>(History::kStep.count());
      step.lag_ms = served.stream->take_lag_ms();
      step.followers = served.followers.size();
      served.history.add(step);
    } catch (const std::exception& e) {
      spdlog::error("{}: {}", name, e.what());
    }
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

// Whoever can reach a loopback address or a Unix socket is on this machine. To others nothing is
// said in the clear, and nothing without knowing who they are.
void Server::listen(const std::string& text) {
  ListenAddress address = ListenAddress::parse(text);
  const bool authenticates = access_ || options_.tls.need_client;
  if (!address.is_local() && !(tls_ && authenticates)) {
    throw ConfigError(
        fmt::format("cannot listen on \"{}\" without TLS and authentication", address.text()),
        "give --tls-cert and --tls-key, and --tokens or --client-ca; or listen on a loopback "
        "address");
  }
  const UniqueFd fd = listen_on(address);
  evhttp* http = tls_ && !address.is_unix() ? https_.get() : http_.get();
  const int owned_by_http = fcntl(fd.get(), F_DUPFD_CLOEXEC, 0);
  if (owned_by_http < 0 || evhttp_accept_socket(http, owned_by_http) != 0) {
    throw Error(fmt::format("could not accept connections on \"{}\"", address.text()));
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
}

Server::~Server() {
  // Followers go before the HTTP server that their requests belong to.
  for (auto& [name, served] : streams_) {
    served.followers.clear();
    served.downloads.clear();
  }
  for (const ListenAddress& address : addresses_) {
    if (address.is_unix()) unlink(address.path.c_str());
  }
}

std::vector<std::string> Server::addresses() const {
  std::vector<std::string> urls;
  for (const ListenAddress& address : addresses_) {
    const char* scheme = tls_ ? "https://" : "http://";
    urls.push_back(address.is_unix() ? address.text() : scheme + address.text());
  }
  return urls;
}

void Server::run(int stop_fd, const std::function<bool()>& stop) {
  Event stopped(loop_.get(), stop_fd, true, [&] {
    if (stop()) event_base_loopbreak(loop_.get());
  });
  stopped.start();
  event_base_dispatch(loop_.get());
}

}  // namespace daystream::serve
