// Requests: who may ask, what for, and the answers that are whole.
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "commits_back.h"
#include "daystream/error.h"
#include "daystream/reader.h"
#include "manifest_json.h"
#include "serve/describe.h"
#include "serve/server.h"

namespace daystream::serve {

namespace {

constexpr std::uint64_t kMostCommitsBack = 10000;  // each is looked for
constexpr std::size_t kMostName = 100;             // of what a peer calls itself

constexpr const char* kJson = "application/json";
constexpr const char* kMetrics = "text/plain; version=0.0.4";

using nlohmann::ordered_json;

std::string text_of(const ordered_json& value) {
  return value.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
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
    try {
      route(request);
    } catch (const HttpError& e) {
      ++facts_.refused;
      request.reply(e);
    } catch (const std::exception& e) {
      ++facts_.failed;
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
  if (path.empty()) return reply_page(request);
  const Grant grant = admit(request);
  if (path.size() == 1 && (first == "status" || first == "metrics" || first == "history")) {
    request.allow({});
    if (request.is_post()) throw HttpError(405, "method", "this takes GET only");
    facts_.disconnected = limits_.refused();
    const MaySee may_see = [&grant](const std::string& stream) { return grant.covers(stream); };
    if (first == "status") return request.reply(200, kJson, status_json(facts_, streams_, may_see));
    if (first == "history") return request.reply(200, kJson, history_json(streams_, may_see));
    return request.reply(200, kMetrics, metrics_text(facts_, streams_, may_see));
  }
  if (path.size() > 2) {
    throw HttpError(404, "not-found", "there is nothing here");
  }
  const std::string what = path.size() == 1 ? "info" : path[1];
  Served& stream = served(first, grant);
  if (what == "copies") {
    if (!request.is_post()) throw HttpError(405, "method", "this takes POST only");
    return take_copy(request, stream, grant);
  }
  if (request.is_post()) throw HttpError(405, "method", "this takes GET only");
  if (what == "stream") return reply_stream(request, stream, grant);
  if (what == "info") return reply_info(request, stream, grant);
  if (what == "manifest") return reply_manifest(request, stream, grant);
  if (what == "seam") return reply_seam(request, stream);
  if (what == "back") return reply_back(request, stream);
  // They hold whatever their mirrors do, not only the tables of a token.
  if (stream.snapshots && grant.tables.empty()) {
    if (what == "snapshots") return reply_snapshots(request, stream);
    if (what == "snapshot") return reply_snapshot(request, stream, grant);
  }
  throw HttpError(404, "not-found", "there is nothing here");
}

// It shows nothing by itself: what it asks for needs a grant.
void Server::reply_page(const Request& request) {
  request.set_header("Content-Security-Policy", page_.content_security_policy());
  request.set_header("Referrer-Policy", "no-referrer");
  request.reply(200, "text/html; charset=utf-8", page_.html());
}

void Server::reply_info(const Request& request, Served& served, const Grant& grant) {
  request.allow({});
  request.reply(200, kJson, text_of(describe(*served.stream, grant.tables)));
}

void Server::reply_manifest(const Request& request, Served& served, const Grant& grant) {
  request.allow({});
  request.reply(200, kJson,
                grant.tables.empty()
                    ? served.stream->manifest_text()
                    : text_of(to_json(manifest_for(*served.stream, grant.tables))));
}

void Server::reply_seam(const Request& request, Served& served) {
  request.allow({"xmin"});
  const auto xmin = request.number("xmin");
  if (!xmin) throw HttpError(400, "bad-request", "parameter \"xmin\" is missing");
  ordered_json body;
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
  ordered_json body;
  body["position"] = nullptr;
  if (const auto position = position_before_last(served.stream->directory(), *commits)) {
    body["position"] = position->text();
  }
  request.reply(200, kJson, body.dump() + "\n");
}

// What a copy says of itself is shown; only what a relay proves to have is counted.
void Server::take_copy(const Request& request, Served& served, const Grant& grant) {
  request.allow({"copy", "kind", "position", "lsn", "crc", "lag_ms"});
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
  if (const auto crc = request.crc("crc")) {
    if (!grant.tables.empty()) {
      throw HttpError(403, "forbidden", "whoever may read some tables only has no whole copy");
    }
    // The very line, with its CRC: so all before it is the same there. The LSN is by our own files.
    const Beginning line = served.stream->begin_at_line(*position, crc);
    copy.lsn = served.stream->begin_after({line.after, {}}).lsn;
    copy.proven = true;
  }
  served.copies.tell(plain(*name), std::move(copy));
  if (options_.record_copies) served.copies.record(served.stream->directory());
  request.reply(200, kJson, "{}\n");
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
