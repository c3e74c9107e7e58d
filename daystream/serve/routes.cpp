#include "serve/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "daystream/stream.h"
#include "json_text.h"
#include "manifest_json.h"
#include "serve/describe.h"
#include "serve/health.h"
#include "serve/metrics.h"
#include "stream_json.h"

namespace daystream::serve {

namespace {

constexpr std::uint64_t kMostCommitsBack = 10000;  // each is looked for

constexpr const char* kJson = "application/json";
constexpr const char* kMetrics = "text/plain; version=0.0.4";

using nlohmann::ordered_json;
using Reply = Answers::Reply;

std::string text_of(const ordered_json& value) {
  return json_page(value);
}

// The answer to a question about one thing.
std::function<void(const Request&)> one_member(const char* key, ordered_json value) {
  const std::string body = json_line(ordered_json{{key, std::move(value)}});
  return [body](const Request& asked) { asked.reply(200, kJson, body); };
}

void reply_info(Answers& answers, const Request& request, Served& served, const Grant& grant) {
  request.allow({});
  const ServedStream& stream = *served.stream;
  answers.later(request, grant, [&stream, tables = grant.tables]() -> Reply {
    const std::string text = text_of(to_json(info_for(stream, tables)));
    return [text](const Request& asked) { asked.reply(200, kJson, text); };
  });
}

void reply_manifest(const Request& request, const Served& served, const Grant& grant) {
  request.allow({});
  request.reply(200, kJson,
                grant.is_limited() ? text_of(to_json(manifest_for(*served.stream, grant.tables)))
                                   : served.stream->manifest_text());
}

void reply_extent(Answers& answers, const Request& request, Served& served, const Grant& grant) {
  request.allow({});
  answers.later(request, grant, [from = served.stream->directory()]() -> Reply {
    return one_member("extent", to_json(Stream(from).extent()));
  });
}

void reply_seam(Answers& answers, const Request& request, Served& served, const Grant& grant) {
  request.allow({"xmin"});
  const auto xmin = request.number("xmin");
  if (!xmin) throw HttpError(400, "bad-request", "parameter \"xmin\" is missing");
  answers.later(request, grant, [xmin = *xmin, from = served.stream->directory()]() -> Reply {
    return one_member("seam", to_json(Stream(from).find_seam(xmin)));
  });
}

void reply_timeline(Answers& answers, const Request& request, Served& served, const Grant& grant) {
  request.allow({});
  answers.later(request, grant, [from = served.stream->directory()]() -> Reply {
    const auto timeline = Stream(from).timeline();
    return one_member("timeline", timeline ? ordered_json(*timeline) : ordered_json(nullptr));
  });
}

void reply_back(Answers& answers, const Request& request, Served& served, const Grant& grant) {
  request.allow({"commits"});
  const auto commits = request.number("commits");
  if (!commits || *commits > kMostCommitsBack) {
    throw HttpError(400, "bad-request",
                    fmt::format("parameter \"commits\" is a number up to {}", kMostCommitsBack));
  }
  answers.later(request, grant, [commits = *commits, from = served.stream->directory()]() -> Reply {
    return one_member("position", to_json(Stream(from).before_last(commits)));
  });
}

}  // namespace

Routes::Routes(const Admission& admission, Answers& answers, Streams& streams, FleetRoute* fleet,
               StreamRoute stream, SnapshotRoute snapshots, CopyRoute copies)
    : admission_(admission),
      answers_(answers),
      streams_(streams),
      fleet_(fleet),
      stream_(stream),
      snapshots_(snapshots),
      copies_(copies) {}

void Routes::route(const Request& request) {
  const std::vector<std::string>& path = request.path();
  const std::string first = path.empty() ? "" : path[0];
  if (path.size() == 1 && first == "healthz") return request.reply(200, "text/plain", "ok\n");
  if (path.empty()) return reply_page(request);
  admission_.keep_out_strangers(request);
  if (path.size() == 2 && first == "healthz" && path[1] == "streams") return reply_health(request);
  const Grant grant = admission_.admit(request);
  if (path.size() == 1 && (first == "status" || first == "metrics" || first == "history")) {
    return reply_about_all(request, first, grant);
  }
  if (fleet_ != nullptr && first == FleetRoute::kName) {
    return fleet_->route(request, grant);
  }
  if (path.size() > 2) {
    throw HttpError(404, "not-found", "there is nothing here");
  }
  route_stream(request, streams_.find(first, grant), path.size() == 1 ? "info" : path[1], grant);
}

void Routes::reply_about_all(const Request& request, const std::string& what, const Grant& grant) {
  request.allow({});
  if (request.is_post()) throw HttpError(405, "method", "this takes GET only");
  if (what == "history") return request.reply(200, kJson, history_json(streams_.all(), grant));
  streams_.answer_sampled(answers_, request, grant, [this, grant, what](const Request& asked) {
    if (what == "status") {
      const bool has_fleet = fleet_ != nullptr && fleet_->may_see(grant);
      return asked.reply(200, kJson,
                         status_json(answers_.facts(), streams_.all(), grant, has_fleet));
    }
    const auto fleet = fleet_ != nullptr ? fleet_->view_for(grant) : std::nullopt;
    asked.reply(200, kMetrics,
                metrics_text(answers_.facts(), streams_.all(), grant, fleet ? &*fleet : nullptr));
  });
}

void Routes::route_stream(const Request& request, Served& stream, const std::string& what,
                          const Grant& grant) {
  if (what == "copies") {
    if (!request.is_post()) throw HttpError(405, "method", "this takes POST only");
    return copies_.take(request, stream, grant);
  }
  if (request.is_post()) throw HttpError(405, "method", "this takes GET only");
  if (what == "stream") return stream_.reply(request, stream, grant);
  if (what == "info") return reply_info(answers_, request, stream, grant);
  if (what == "manifest") return reply_manifest(request, stream, grant);
  if (what == "extent") return reply_extent(answers_, request, stream, grant);
  if (what == "seam") return reply_seam(answers_, request, stream, grant);
  if (what == "timeline") return reply_timeline(answers_, request, stream, grant);
  if (what == "back") return reply_back(answers_, request, stream, grant);
  // They hold whatever their mirrors do, not only the tables of a token.
  if (stream.snapshots && grant.tables.empty()) {
    if (what == "snapshots") return SnapshotRoute::list(request, stream);
    if (what == "snapshot") return snapshots_.send(request, stream, grant);
  }
  throw HttpError(404, "not-found", "there is nothing here");
}

// No names: it needs no token.
void Routes::reply_health(const Request& request) {
  request.allow({});
  streams_.answer_sampled(answers_, request, {}, [this](const Request& asked) {
    const std::int64_t now = std::time(nullptr);
    const ServedStreams& all = streams_.all();
    const auto well = std::count_if(all.begin(), all.end(), [now](const auto& stream) {
      return stream_health(stream.second, now).is_well();
    });
    const auto count = static_cast<std::ptrdiff_t>(all.size());
    if (well == count) return asked.reply(200, "text/plain", "ok\n");
    asked.reply(503, "text/plain", fmt::format("in trouble: {} of {}\n", count - well, count));
  });
}

// It shows nothing by itself: what it asks for needs a grant.
void Routes::reply_page(const Request& request) const {
  request.set_header("Content-Security-Policy", page_.content_security_policy());
  request.set_header("Referrer-Policy", "no-referrer");
  request.reply(200, "text/html; charset=utf-8", page_.html());
}

}  // namespace daystream::serve
