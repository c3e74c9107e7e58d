#include "serve/server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "commits_back.h"
#include "crc32c.h"
#include "daystream/error.h"
#include "daystream/reader.h"
#include "number.h"
#include "serve/describe.h"

namespace daystream::serve {

namespace {

constexpr int kMostHeaderBytes = 16 * 1024;
constexpr int kMostBodyBytes = 64 * 1024;
constexpr std::uint64_t kMostBeatSeconds = 60;
constexpr std::uint64_t kMostCommitsBack = 10000;  // each is looked for
constexpr std::size_t kMostName = 100;             // of what a peer calls itself

constexpr const char* kLines = "text/tab-separated-values; charset=utf-8";
constexpr const char* kJson = "application/json";
constexpr const char* kMetrics = "text/plain; version=0.0.4";

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

// What a peer says of itself, made fit to be shown.
std::string plain(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  if (text.size() > kMostName) text.resize(kMostName);
  return text;
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
      bury_(loop_.get(), -1, false, [this] { bury_ended(); }) {
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
  for (const std::string& text : options.listen) listen(text);
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
  for (auto& [name, served] : streams_) served.followers.clear();
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

// ---- requests ----------------------------------------------------------------------------------

void Server::handle(evhttp_request* request, void* self) {
  static_cast<Server*>(self)->answer(request);
}

void Server::answer(evhttp_request* raw) {
  limits_.asked(raw);
  ++facts_.requests;
  try {
    const Request request(raw);
    try {
      route(request);
    } catch (const HttpError& e) {
      ++facts_.refused;
      request.reply(e);
    } catch (const std::exception& e) {
      spdlog::error("could not answer {}: {}", request.peer(), e.what());
      request.reply(HttpError(500, "failed", e.what()));
    }
  } catch (const HttpError&) {
    evhttp_send_error(raw, 400, nullptr);
  }
}

Grant Server::admit(const Request& request) const {
  if (!access_) return {};
  bufferevent* connection =
      evhttp_connection_get_bufferevent(evhttp_request_get_connection(request.raw()));
  auto grant = access_->check(request.header("Authorization"), Tls::client_name(connection));
  if (!grant) {
    request.set_header("WWW-Authenticate", "Bearer");
    throw HttpError(401, "unauthorized", "no token, or one that is not known here",
                    "see \"daystream token\"");
  }
  return std::move(*grant);
}

// One that may not be seen is as if it were not there.
Served& Server::served(const std::string& name, const Grant& grant) {
  const auto found = streams_.find(name);
  if (found == streams_.end() || !grant.covers(name)) {
    throw HttpError(404, "no-such-stream", fmt::format("there is no daystream \"{}\"", name));
  }
  return found->second;
}

void Server::route(const Request& request) {
  const std::vector<std::string>& path = request.path();
  const std::string first = path.empty() ? "" : path[0];
  if (path.size() == 1 && first == "healthz") return request.reply(200, "text/plain", "ok\n");
  const Grant grant = admit(request);
  if (path.size() == 1 && (first == "status" || first == "metrics")) {
    request.allow({});
    facts_.disconnected = limits_.refused();
    const MaySee may_see = [&grant](const std::string& stream) { return grant.covers(stream); };
    if (first == "status") return request.reply(200, kJson, status_json(facts_, streams_, may_see));
    return request.reply(200, kMetrics, metrics_text(facts_, streams_, may_see));
  }
  if (path.empty() || path.size() > 2) {
    throw HttpError(404, "not-found", "there is nothing here");
  }
  const std::string what = path.size() == 1 ? "info" : path[1];
  Served& stream = served(first, grant);
  if (what == "copies") {
    if (!request.is_post()) throw HttpError(405, "method", "this takes POST only");
    return take_copy(request, stream);
  }
  if (request.is_post()) throw HttpError(405, "method", "this takes GET only");
  if (what == "stream") return reply_stream(request, stream, grant);
  if (what == "info") return reply_info(request, stream);
  if (what == "manifest") return request.reply(200, kJson, stream.stream->manifest_text());
  if (what == "seam") return reply_seam(request, stream);
  if (what == "back") return reply_back(request, stream);
  throw HttpError(404, "not-found", "there is nothing here");
}

void Server::reply_stream(const Request& request, Served& served, const Grant& grant) {
  request.allow({"after", "lsn", "line", "crc", "beat", "follow"});
  ServedStream& stream = *served.stream;
  stream.refresh();
  Beginning begin;
  if (const auto line = request.parameter("line")) {
    std::optional<std::uint32_t> crc;
    if (const auto text = request.parameter("crc")) {
      crc = parse_crc(*text);
      if (!crc) throw HttpError(400, "bad-request", "parameter \"crc\" is not a CRC");
    }
    begin = stream.begin_at_line(request.position("line").value_or(Position::begin()), crc);
  } else {
    begin = stream.begin_after(
        {request.position("after").value_or(Position::begin()), request.lsn("lsn")});
  }
  FollowerOptions options;
  options.stall = options_.stall;
  options.follow = request.parameter("follow").value_or("1") != "0";
  const std::uint64_t beat = request.number("beat").value_or(0);
  if (beat > kMostBeatSeconds) {
    throw HttpError(400, "bad-request", fmt::format("a beat is at most {} s", kMostBeatSeconds));
  }
  options.beat = std::chrono::seconds(beat);

  const Manifest manifest = stream.manifest();
  request.set_header("Content-Type", kLines);
  request.set_header("Cache-Control", "no-store");
  request.set_header("X-Accel-Buffering", "no");  // nginx: pass on as it comes
  request.set_header("Connection", "close");
  request.set_header("Daystream-Format", std::to_string(manifest.format));
  request.set_header("Daystream-System", manifest.system_identifier);
  request.set_header("Daystream-Database", plain(manifest.database));
  request.set_header("Daystream-Slot", plain(manifest.slot));
  if (begin.after != Position::begin()) {
    request.set_header("Daystream-After", begin.after.text());
    request.set_header("Daystream-LSN", begin.lsn.text());
    if (begin.chain) request.set_header("Daystream-Chain", crc_text(*begin.chain));
  }
  if (stream.durable()) request.set_header("Daystream-Last", stream.durable()->position.text());

  FollowerFacts facts;
  facts.peer = request.peer();
  facts.host = plain(request.header("Daystream-Host"));
  if (facts.host.empty()) facts.host = facts.peer;
  facts.client = plain(request.header("User-Agent"));
  facts.grant = grant.name;
  facts.since = std::time(nullptr);
  served.followers.push_back(std::make_unique<Follower>(
      loop_.get(), request.raw(), std::make_unique<WholeSource>(stream, begin), options,
      std::move(facts), [this] { bury_.start(std::chrono::microseconds(0)); }));
  served.followers.back()->begin();
}

void Server::reply_info(const Request& request, Served& served) {
  request.allow({});
  using nlohmann::ordered_json;
  request.reply(
      200, kJson,
      describe(*served.stream).dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
}

void Server::reply_seam(const Request& request, Served& served) {
  request.allow({"xmin"});
  const auto xmin = request.number("xmin");
  if (!xmin) throw HttpError(400, "bad-request", "parameter \"xmin\" is missing");
  nlohmann::ordered_json body;
  body["seam"] = nullptr;
  if (const auto seam = find_seam(served.stream->directory(), *xmin)) {
    body["seam"] = {
        {"position", seam->position.text()}, {"lsn", seam->lsn.text()}, {"next", seam->next}};
  }
  request.reply(200, kJson, body.dump() + "\n");
}

void Server::reply_back(const Request& request, Served& served) {
  request.allow({"commits"});
  const auto commits = request.number("commits");
  if (!commits || *commits > kMostCommitsBack) {
    throw HttpError(400, "bad-request",
                    fmt::format("parameter \"commits\" is a number up to {}", kMostCommitsBack));
  }
  nlohmann::ordered_json body;
  body["position"] = nullptr;
  if (const auto position = position_before_last(served.stream->directory(), *commits)) {
    body["position"] = position->text();
  }
  request.reply(200, kJson, body.dump() + "\n");
}

void Server::take_copy(const Request& request, Served& served) {
  request.allow({"copy", "kind", "position", "lsn", "lag_ms"});
  const auto name = request.parameter("copy");
  const auto position = request.position("position");
  if (!name || name->empty() || name->size() > kMostName || !position) {
    throw HttpError(400, "bad-request", "parameters \"copy\" and \"position\" are needed");
  }
  Copy copy;
  copy.kind = plain(request.parameter("kind").value_or("pull"));
  copy.host = plain(request.header("Daystream-Host"));
  if (copy.host.empty()) copy.host = request.peer();
  copy.position = *position;
  copy.lsn = request.lsn("lsn").value_or(Lsn{});
  copy.lag_ms = static_cast<std::int64_t>(request.number("lag_ms").value_or(0));
  copy.told = std::time(nullptr);
  served.copies.tell(plain(*name), std::move(copy));
  request.reply(200, kJson, "{}\n");
}

void Server::bury_ended() {
  for (auto& [name, served] : streams_) {
    std::erase_if(served.followers, [&served = served](const std::unique_ptr<Follower>& follower) {
      if (follower->ended()) served.sent_bytes += follower->sent_bytes();
      return follower->ended();
    });
  }
}

}  // namespace daystream::serve
