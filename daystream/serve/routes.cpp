// Requests: who may ask, what for, and the answers that are whole.
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <ctime>
#include <exception>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "daystream/error.h"
#include "daystream/stream.h"
#include "json_text.h"
#include "manifest_json.h"
#include "serve/describe.h"
#include "serve/fleet_route.h"
#include "serve/health.h"
#include "serve/metrics.h"
#include "serve/own_name.h"
#include "serve/server.h"
#include "stream_json.h"

namespace daystream::serve {

namespace {

constexpr std::uint64_t kMostCommitsBack = 10000;  // each is looked for
constexpr std::size_t kMostName = 100;             // of what a peer calls itself
constexpr std::size_t kMostTrouble = 300;          // of what it says is wrong with it

constexpr const char* kJson = "application/json";
constexpr const char* kMetrics = "text/plain; version=0.0.4";

using nlohmann::ordered_json;

std::string text_of(const ordered_json& value) {
  return json_page(value);
}

// The answer to a question about one thing.
std::function<void(const Request&)> one_member(const char* key, ordered_json value) {
  const std::string body = json_line(ordered_json{{key, std::move(value)}});
  return [body](const Request& asked) { asked.reply(200, kJson, body); };
}

}  // namespace

void Server::handle(evhttp_request* request, void* self) {
  static_cast<Server*>(self)->answer(request);
}

void Server::answer(evhttp_request* raw) {
  limits_.asked(raw);
  ++facts_.requests;
  try {
    const Request request(raw);
    answer_with(request, [&] { route(request); });
  } catch (const HttpError&) {
    evhttp_send_error(raw, 400, nullptr);
  }
}

void Server::require_room_to_stay(const Request& request) {
  if (limits_.may_stay(request.raw())) return;
  throw HttpError(503, "busy", "the server has as many followers as it can have",
                  "ask again later; --most-connections and --most-per-address say how many");
}

void Server::answer_with(const Request& request, const std::function<void()>& reply) {
  try {
    reply();
  } catch (const HttpError& e) {
    ++facts_.refused;
    if (e.status() == 401) tell_stranger(request.peer(), e.what());
    request.reply(e);
  } catch (const std::exception& e) {
    // It may name files, which are no peer's business.
    ++facts_.failed;
    spdlog::error("could not answer {}: {}", request.peer(), e.what());
    request.reply(
        HttpError(500, "failed", "the server could not read its files", "its log says why"));
  }
}

// Once a minute each: one who tries tokens, or has an old one, is not to fill the log.
void Server::tell_stranger(const std::string& peer, const std::string& why) {
  if (const auto text = strangers_.met(fmt::format("refused {}: {}", peer, why))) {
    spdlog::warn("{}", *text);
  }
}

// The request stays libevent's and open: while nothing is read from its connection, nothing ends
// it. What a peer asked for that has gone meanwhile is not begun: asking and closing costs nothing,
// and who has the same address, as all behind a proxy have, would wait for all of it.
void Server::answer_later(const Request& request, const Grant& grant, std::function<Reply()> work) {
  request.pause_reading();
  const std::string asker =
      grant.name.empty() ? request.peer() : grant.name + "\n" + request.peer();
  const bool taken = workers_.run(asker, [this, request, work = std::move(work),
                                          has_gone = request.peer_watch()]() {
    Reply reply;
    try {
      if (has_gone()) throw HttpError(503, "busy", "the peer has closed the connection");
      reply = work();
    } catch (...) {
      reply = [error = std::current_exception()](const Request&) { std::rethrow_exception(error); };
    }
    return [this, request, reply = std::move(reply)] {
      answer_with(request, [&] { reply(request); });
    };
  });
  if (!taken) throw HttpError(503, "busy", "the server has more to do than it can", "ask again");
}

void Server::answer_sampled(const Request& request, const Grant& grant, Reply reply) {
  constexpr std::chrono::seconds kFresh{1};
  auto samples = std::make_shared<std::map<std::string, Known>>();
  const auto now = std::chrono::steady_clock::now();
  for (auto& [name, served] : streams_) {
    if (!grant.covers(name) || now - served.stream->latest_at() < kFresh) continue;
    (*samples)[name] = known(served);
  }
  if (samples->empty()) return reply(request);
  answer_later(request, grant, [this, samples, reply = std::move(reply)]() -> Reply {
    for (auto& [name, sample] : *samples) find_out(name, sample);
    return [this, samples, reply](const Request& asked) {
      for (auto& [name, sample] : *samples) put(streams_.at(name), std::move(sample));
      reply(asked);
    };
  });
}

// A page of somebody else's, in a browser on this machine, can make it ask us by a name that leads
// here. Where nobody shows who he is, the name has to be one that only this machine gives us.
void Server::keep_out_strangers(const Request& request) const {
  if (access_ || options_.tls.need_client || request.peer() == "local") return;
  const auto is_ours = [this](std::string_view host) {
    if (is_own_name(host)) return true;
    return std::any_of(
        addresses_.begin(), addresses_.end(),
        [host](const program::ListenAddress& address) { return address.host == host; });
  };
  const std::string host_header = request.header("Host");
  const std::string origin = request.header("Origin");
  const std::string_view host = host_of(host_header);
  // What our own page asks has the origin that it was loaded from.
  const auto from = origin.find("://");
  const bool own_page =
      origin.empty() ||
      (from != std::string::npos && host_of(std::string_view(origin).substr(from + 1)) == host);
  if (is_ours(host) && own_page) return;
  throw HttpError(403, "forbidden",
                  "without tokens only requests by an address or a local name are answered",
                  "see --tokens");
}

Grant Server::admit(const Request& request) const {
  if (!access_) return {};
  bufferevent* connection =
      evhttp_connection_get_bufferevent(evhttp_request_get_connection(request.raw()));
  auto grant = access_->check(request.header("Authorization"), Tls::client_name(connection));
  if (!grant) {
    request.set_header("WWW-Authenticate", "Bearer");
    throw HttpError(401, "unauthorized", "no token, or one that is not known here",
                    "name the file of your token with --token-file or DAYSTREAM_TOKEN_FILE; who "
                    "runs the server makes one with \"daystream token\"");
  }
  return std::move(*grant);
}

// One that may not be seen is as if it were not there.
Served& Server::served(const std::string& name, const Grant& grant) {
  const auto found = streams_.find(name);
  if (found == streams_.end() || !grant.covers(name)) {
    throw HttpError(404, "no-such-stream", fmt::format("there is no daystream \"{}\"", name));
  }
  if (!found->second.lost.empty()) {
    throw HttpError(503, "away", fmt::format("daystream \"{}\" is not where it was", name),
                    "its server says more in its log; ask again when it is there");
  }
  return found->second;
}

void Server::route(const Request& request) {
  const std::vector<std::string>& path = request.path();
  const std::string first = path.empty() ? "" : path[0];
  if (path.size() == 1 && first == "healthz") return request.reply(200, "text/plain", "ok\n");
  if (path.empty()) return reply_page(request);
  keep_out_strangers(request);
  if (path.size() == 2 && first == "healthz" && path[1] == "streams") return reply_health(request);
  const Grant grant = admit(request);
  if (path.size() == 1 && (first == "status" || first == "metrics" || first == "history")) {
    return reply_about_all(request, first, grant);
  }
  if (fleet_ && first == "fleet") {
    if (path.size() == 1) return reply_mirrors(request, grant);
    if (path.size() == 2) return reply_fleet(request, path[1], grant);
    if (path.size() == 3 && path[2] == "report") return take_mirror_report(request, path[1], grant);
  }
  if (path.size() > 2) {
    throw HttpError(404, "not-found", "there is nothing here");
  }
  route_stream(request, served(first, grant), path.size() == 1 ? "info" : path[1], grant);
}

void Server::reply_about_all(const Request& request, const std::string& what, const Grant& grant) {
  request.allow({});
  if (request.is_post()) throw HttpError(405, "method", "this takes GET only");
  facts_.disconnected = limits_.refused();
  if (what == "history") return request.reply(200, kJson, history_json(streams_, grant));
  answer_sampled(request, grant, [this, grant, what](const Request& asked) {
    if (what == "status") {
      return asked.reply(200, kJson,
                         status_json(facts_, streams_, grant, fleet_for(grant).has_value()));
    }
    const auto fleet = fleet_for(grant);
    asked.reply(200, kMetrics, metrics_text(facts_, streams_, grant, fleet ? &*fleet : nullptr));
  });
}

void Server::route_stream(const Request& request, Served& stream, const std::string& what,
                          const Grant& grant) {
  if (what == "copies") {
    if (!request.is_post()) throw HttpError(405, "method", "this takes POST only");
    return take_copy(request, stream, grant);
  }
  if (request.is_post()) throw HttpError(405, "method", "this takes GET only");
  if (what == "stream") return reply_stream(request, stream, grant);
  if (what == "info") return reply_info(request, stream, grant);
  if (what == "manifest") return reply_manifest(request, stream, grant);
  if (what == "extent") return reply_extent(request, stream, grant);
  if (what == "seam") return reply_seam(request, stream, grant);
  if (what == "timeline") return reply_timeline(request, stream, grant);
  if (what == "back") return reply_back(request, stream, grant);
  // They hold whatever their mirrors do, not only the tables of a token.
  if (stream.snapshots && grant.tables.empty()) {
    if (what == "snapshots") return reply_snapshots(request, stream);
    if (what == "snapshot") return reply_snapshot(request, stream, grant);
  }
  throw HttpError(404, "not-found", "there is nothing here");
}

// No names: it needs no token.
void Server::reply_health(const Request& request) {
  request.allow({});
  answer_sampled(request, {}, [this](const Request& asked) {
    const std::int64_t now = std::time(nullptr);
    const auto well = std::count_if(streams_.begin(), streams_.end(), [now](const auto& stream) {
      return stream_health(stream.second, now).is_well();
    });
    const auto all = static_cast<std::ptrdiff_t>(streams_.size());
    if (well == all) return asked.reply(200, "text/plain", "ok\n");
    asked.reply(503, "text/plain", fmt::format("in trouble: {} of {}\n", all - well, all));
  });
}

// It shows nothing by itself: what it asks for needs a grant.
void Server::reply_page(const Request& request) {
  request.set_header("Content-Security-Policy", page_.content_security_policy());
  request.set_header("Referrer-Policy", "no-referrer");
  request.reply(200, "text/html; charset=utf-8", page_.html());
}

void Server::reply_info(const Request& request, Served& served, const Grant& grant) {
  request.allow({});
  const ServedStream& stream = *served.stream;
  answer_later(request, grant, [&stream, tables = grant.tables]() -> Reply {
    const std::string text = text_of(to_json(info_for(stream, tables)));
    return [text](const Request& asked) { asked.reply(200, kJson, text); };
  });
}

void Server::reply_manifest(const Request& request, Served& served, const Grant& grant) {
  request.allow({});
  request.reply(200, kJson,
                grant.is_limited() ? text_of(to_json(manifest_for(*served.stream, grant.tables)))
                                   : served.stream->manifest_text());
}

void Server::reply_extent(const Request& request, Served& served, const Grant& grant) {
  request.allow({});
  answer_later(request, grant, [from = served.stream->directory()]() -> Reply {
    return one_member("extent", to_json(Stream(from).extent()));
  });
}

void Server::reply_seam(const Request& request, Served& served, const Grant& grant) {
  request.allow({"xmin"});
  const auto xmin = request.number("xmin");
  if (!xmin) throw HttpError(400, "bad-request", "parameter \"xmin\" is missing");
  answer_later(request, grant, [xmin = *xmin, from = served.stream->directory()]() -> Reply {
    return one_member("seam", to_json(Stream(from).find_seam(xmin)));
  });
}

void Server::reply_timeline(const Request& request, Served& served, const Grant& grant) {
  request.allow({});
  answer_later(request, grant, [from = served.stream->directory()]() -> Reply {
    const auto timeline = Stream(from).timeline();
    return one_member("timeline", timeline ? ordered_json(*timeline) : ordered_json(nullptr));
  });
}

void Server::reply_back(const Request& request, Served& served, const Grant& grant) {
  request.allow({"commits"});
  const auto commits = request.number("commits");
  if (!commits || *commits > kMostCommitsBack) {
    throw HttpError(400, "bad-request",
                    fmt::format("parameter \"commits\" is a number up to {}", kMostCommitsBack));
  }
  answer_later(request, grant, [commits = *commits, from = served.stream->directory()]() -> Reply {
    return one_member("position", to_json(Stream(from).before_last(commits)));
  });
}

// What a copy says of itself is shown; only what a relay proves to have is counted.
void Server::take_copy(const Request& request, Served& served, const Grant& grant) {
  request.allow({"copy", "kind", "position", "lsn", "crc", "lag_ms", "trouble"});
  const auto name = request.parameter("copy");
  const auto position = request.position("position");
  if (!name || name->empty() || name->size() > kMostName || !position) {
    throw HttpError(400, "bad-request", "parameters \"copy\" and \"position\" are needed");
  }
  Copy copy;
  copy.name = plain(*name);
  copy.grant = grant.name;
  copy.kind = plain(request.parameter("kind").value_or("pull"));
  copy.host = plain(request.header("Daystream-Host"));
  if (copy.host.empty()) copy.host = request.peer();
  copy.position = *position;
  copy.lsn = request.lsn("lsn").value_or(Lsn{});
  copy.lag_ms = static_cast<std::int64_t>(request.number("lag_ms").value_or(0));
  copy.told = std::time(nullptr);
  copy.trouble = plain(request.parameter("trouble").value_or(""), kMostTrouble);
  const auto tell = [&served](Copy told) {
    const auto& durable = served.stream->durable();
    const bool has_more = durable && told.position < durable->position;
    served.copies.tell(std::move(told), has_more);
  };
  const auto crc = request.crc("crc");
  if (!crc) {
    tell(std::move(copy));
    return reply_to_copy(request, served, grant);
  }
  if (grant.is_limited()) {
    throw HttpError(403, "forbidden", "who may read some tables only gets no whole copy");
  }
  // The very line, with its CRC: so all before it is the same there. The LSN is by our own files.
  const ServedStream& stream = *served.stream;
  answer_later(request, grant, [this, &served, &stream, tell, copy, crc]() mutable -> Reply {
    const Beginning line = stream.begin_at_line(copy.position, crc);
    copy.lsn = stream.begin_after({line.after, {}}).lsn;
    copy.proven = true;
    return [this, &served, tell, copy](const Request& asked) {
      tell(copy);
      if (options_.record_copies) record_copies(served);
      asked.reply(200, kJson, "{}\n");
    };
  });
}

// What a copy cannot see itself: whether the stream is written.
void Server::reply_to_copy(const Request& request, const Served& served, const Grant& grant) {
  constexpr std::chrono::seconds kFresh{1};
  const bool says_why = !grant.is_limited();
  const auto reply = [&served, says_why](const Request& asked) {
    const StreamHealth health = stream_health(served, std::time(nullptr));
    asked.reply(200, kJson, health_json(health, says_why));
  };
  ServedStream& stream = *served.stream;
  if (std::chrono::steady_clock::now() - stream.streamer_at() < kFresh) return reply(request);
  answer_later(request, grant, [&stream, reply]() -> Reply {
    return [&stream, reply, told = stream.read_streamer()](const Request& asked) {
      stream.put_streamer(told);
      reply(asked);
    };
  });
}

// One write at a time, of what is known when it begins.
void Server::record_copies(Served& served) {
  if (served.recording) {
    served.record_again = true;
    return;
  }
  served.record_again = false;
  served.recording = workers_.run(
      {}, [this, &served, text = served.copies.record(), to = served.stream->directory()]() {
        try {
          write_copies(to, text);
        } catch (const std::exception& e) {
          spdlog::error("{}", e.what());
        }
        return [this, &served] {
          served.recording = false;
          if (served.record_again) record_copies(served);
        };
      });
}

void Server::bury_ended() {
  for (auto& [name, served] : streams_) {
    std::erase_if(served.downloads, [](const auto& download) { return download->ended(); });
    std::erase_if(served.followers, [&served = served](const std::unique_ptr<Follower>& follower) {
      if (follower->ended()) served.sent_bytes += follower->sent_bytes();
      return follower->ended();
    });
  }
}

}  // namespace daystream::serve
