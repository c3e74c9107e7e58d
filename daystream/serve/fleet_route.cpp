#include "serve/fleet_route.h"

#include <event2/bufferevent.h>
#include <event2/http.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <ctime>
#include <utility>

#include "calendar.h"
#include "daystream/error.h"
#include "json_text.h"
#include "program/figures.h"
#include "program/hint.h"
#include "serve/server.h"

namespace daystream::serve {

using std::chrono::steady_clock;

namespace {

constexpr std::size_t kMostHeldInput = 4096;  // of what comes while an answer is held
constexpr std::size_t kMostNameBytes = 100;   // of a mirror
constexpr std::chrono::seconds kBetweenSaves{2};

}  // namespace

FleetRoute::FleetRoute(event_base* loop, Workers& workers, const std::filesystem::path& directory,
                       std::chrono::seconds stall)
    : directory_(directory),
      stall_(stall),
      revision_([this] {
        const auto newest = directory_.newest();
        if (newest) return directory_.revision(*newest);
        throw ConfigError(
            fmt::format("fleet \"{}\" has no revision yet", directory_.path().string()),
            fmt::format("make one: daystream fleet {} publish", directory_.path().string()));
      }()),
      watch_(directory_.revisions_path(), DurableWatch::kAnyName),
      watch_event_(loop, watch_.fd(), true, [this] { watched(); }),
      tick_(loop, -1, false, [this] { tick(); }),
      workers_(workers),
      store_(std::make_shared<ReportStore>(directory)),
      reports_(open_store(), std::time(nullptr)),
      save_(loop, -1, true, [this] { save(); }) {
  save_.start(kBetweenSaves);
  // What came since it was read is found by the first look, which is due at once.
  watch_event_.start(DurableWatch::kBetweenLooks);
  spdlog::info("fleet \"{}\": revision {} is offered", directory_.path().string(),
               revision_.number);
}

// Without it all is as well as with it, but for what was before.
MirrorReports FleetRoute::open_store() noexcept {
  try {
    store_->open_for_writing();
    return store_->load();
  } catch (const Error& e) {
    spdlog::error("what mirrors report is not kept: {}", program::with_hint(e.what(), e.hint()));
  } catch (const std::exception& e) {
    spdlog::error("what mirrors report is not kept: {}", e.what());
  }
  return {};
}

void FleetRoute::save() noexcept {
  if (saving_) return;
  try {
    ReportBatch batch = reports_.take_batch(std::time(nullptr));
    if (batch.empty()) return;
    saving_ = workers_.run({}, [this, store = store_, batch = std::move(batch)]() {
      std::string trouble;
      try {
        store->save(batch);
      } catch (const std::exception& e) {
        trouble = e.what();
      }
      return [this, trouble] {
        saving_ = false;
        if (trouble.empty()) return store_troubles_.clear();
        const auto text = store_troubles_.met(trouble);
        if (text) spdlog::error("could not keep what mirrors report: {}", *text);
      };
    });
  } catch (const std::exception& e) {
    spdlog::error("{}", e.what());
  }
}

FleetView FleetRoute::view() const {
  return reports_.view(std::time(nullptr), revision_.number);
}

void FleetRoute::take_report(const Request& request, const std::string& name) {
  const std::string body = request.body();
  if (name.size() > kMostNameBytes || plain(name) != name) {
    throw HttpError(400, "bad-request",
                    fmt::format("a mirror's name has at most {} bytes", kMostNameBytes));
  }
  if (body.size() > kMostReportBytes) {
    throw HttpError(400, "bad-request",
                    fmt::format("a report has at most {} bytes", kMostReportBytes));
  }
  auto report = parse_report(name, body, std::time(nullptr));
  if (!report) throw HttpError(400, "bad-request", "this is no report of a mirror");
  if (!reports_.tell(std::move(*report))) {
    throw HttpError(
        503, "busy", fmt::format("{} mirrors are known already: no other is kept", kMostMirrors),
        fmt::format("those that are silent for {} days make room", kMirrorGoneS / kSecondsPerDay));
  }
  request.reply(200, "application/json", "{}\n");
}

FleetRoute::~FleetRoute() {
  try {
    store_->save(reports_.take_batch(std::time(nullptr)));
  } catch (const std::exception& e) {
    spdlog::error("could not keep what mirrors report: {}", e.what());
  }
  for (const Held& held : held_) {
    evhttp_connection* connection = evhttp_request_get_connection(held.request.raw());
    evhttp_connection_set_closecb(connection, nullptr, nullptr);
    evhttp_connection_free(connection);  // and the request with it
  }
}

void FleetRoute::watched() noexcept {
  try {
    if (watch_.wait(std::chrono::milliseconds(0), -1)) look();
  } catch (const std::exception& e) {
    spdlog::error("fleet: {}", e.what());
  }
}

void FleetRoute::look() noexcept {
  try {
    const auto newest = directory_.newest();
    if (newest && *newest != revision_.number) take(*newest);
  } catch (const std::exception& e) {
    spdlog::error("fleet \"{}\": revision {} stays in force: {}", directory_.path().string(),
                  revision_.number, e.what());
  }
}

void FleetRoute::take(std::uint64_t number) {
  revision_ = directory_.revision(number);
  composed_.clear();
  spdlog::info("fleet \"{}\": revision {} by {} is offered, at once to {}",
               directory_.path().string(), number, plain(revision_.author),
               program::counted(held_.size(), "mirror"));
  for (std::list<Held> due = std::exchange(held_, {}); !due.empty(); due.pop_front()) {
    answer_held(due.front());
  }
}

// The time of those that wait is over now and then: they get what there is.
void FleetRoute::tick() noexcept {
  const auto now = steady_clock::now();
  for (auto at = held_.begin(); at != held_.end();) {
    const auto each = at++;
    if (each->until > now) continue;
    const Held held = std::move(*each);
    held_.erase(each);
    answer_held(held);
  }
  if (!held_.empty()) tick_.start(std::chrono::seconds(1));
}

void FleetRoute::answer_held(Held held) noexcept {
  evhttp_connection_set_closecb(evhttp_request_get_connection(held.request.raw()), nullptr,
                                nullptr);
  try {
    answer(held.request, held.name, held.labels);
  } catch (const HttpError& e) {
    held.request.reply(e);
  } catch (const std::exception& e) {
    spdlog::error("could not answer {}: {}", held.request.peer(), e.what());
    held.request.reply(HttpError(500, "failed", "the server could not compose it"));
  }
}

const FleetRoute::Composed& FleetRoute::composed(const std::vector<std::size_t>& rules) {
  const auto found = composed_.find(rules);
  if (found != composed_.end()) return found->second;
  const nlohmann::json config = revision_.content.compose(rules);
  Composed made{json_page(config), {}};
  if (const auto problems = config_problems(config); !problems.empty()) made.problem = problems[0];
  return composed_[rules] = std::move(made);
}

void FleetRoute::answer(const Request& request, const std::string& name, const Labels& labels) {
  const std::string number = std::to_string(revision_.number);
  const std::string tag = fmt::format("\"{}\"", number);
  request.set_header("Daystream-Revision", number);
  const auto rules = revision_.content.matching(name, labels);
  if (rules.empty()) {
    throw HttpError(
        404, "no-configuration",
        fmt::format("no rule of the fleet's revision {} is about \"{}\"", number, plain(name)),
        "\"daystream fleet DIR check NAME --label …\" there says what a mirror gets");
  }
  const Composed& config = composed(rules);
  if (!config.problem.empty()) {
    throw HttpError(
        404, "no-configuration",
        fmt::format("what \"{}\" gets by the fleet's revision {} is no configuration: {}",
                    plain(name), number, config.problem),
        "\"daystream fleet DIR check NAME --label …\" there says where that stands");
  }
  request.set_header("ETag", tag);
  if (request.header("If-None-Match") == tag) return request.reply(304, "application/json", {});
  request.reply(200, "application/json", config.body);
}

void FleetRoute::reply(const Request& request, const std::string& name,
                       const std::function<void()>& require_room) {
  Labels labels;
  try {
    labels = program::parse_labels(request.parameters("label"));
  } catch (const ConfigError& e) {
    throw HttpError(400, "bad-request", e.what(), e.hint());
  }
  const auto after = request.number("after");
  const std::uint64_t wait = request.number("wait").value_or(0);
  if (wait > kMostWaitSeconds) {
    throw HttpError(400, "bad-request",
                    fmt::format("an answer waits for at most {} s", kMostWaitSeconds));
  }
  if (!after || *after != revision_.number || wait == 0) return answer(request, name, labels);
  require_room();
  hold(request, name, labels, std::chrono::seconds(wait));
}

void FleetRoute::hold(const Request& request, const std::string& name, const Labels& labels,
                      std::chrono::seconds wait) {
  held_.push_back({this, request, name, labels, steady_clock::now() + wait});
  held_.back().self = std::prev(held_.end());
  evhttp_connection* connection = evhttp_request_get_connection(request.raw());
  evhttp_connection_set_closecb(connection, closed, &held_.back());
  bufferevent* stream = evhttp_connection_get_bufferevent(connection);
  const timeval stall{stall_.count(), 0};
  bufferevent_set_timeouts(stream, nullptr, &stall);
  // What else it sends is left unread, as its request is being answered; its end is noticed.
  bufferevent_data_cb drained = nullptr;
  bufferevent_event_cb ended = nullptr;
  void* argument = nullptr;
  bufferevent_getcb(stream, nullptr, &drained, &ended, &argument);
  bufferevent_setcb(stream, nullptr, drained, ended, argument);
  bufferevent_setwatermark(stream, EV_READ, 0, kMostHeldInput);
  bufferevent_enable(stream, EV_READ);
  if (!tick_.pending()) tick_.start(std::chrono::seconds(1));
}

// The peer is gone. As of a follower: a request that lost its connection stays ours until its
// reply ends.
void FleetRoute::closed(evhttp_connection*, void* argument) {
  auto* const held = static_cast<Held*>(argument);
  evhttp_request* const request = held->request.raw();
  held->route->held_.erase(held->self);
  if (evhttp_request_get_connection(request) == nullptr) evhttp_send_reply_end(request);
}

namespace {

void require_right(const Grant& grant, bool authenticates, const std::string& name) {
  if (!authenticates || grant.covers_mirror(name)) return;
  throw HttpError(403, "forbidden",
                  fmt::format("this token may not read the configuration of \"{}\"", plain(name)),
                  "give it one that may: \"daystream token --fleet\"");
}

std::string events_json(const std::vector<ReportEvent>& events) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const ReportEvent& event : events) {
    out.push_back({{"at", utc_text(at_second(event.at))},
                   {"state", event.state},
                   {"revision", event.revision ? nlohmann::ordered_json(*event.revision)
                                               : nlohmann::ordered_json()},
                   {"trouble", event.trouble}});
  }
  return json_page(nlohmann::ordered_json{{"events", std::move(out)}});
}

}  // namespace

void Server::reply_fleet(const Request& request, const std::string& name, const Grant& grant) {
  request.allow({"label", "after", "wait"});
  if (request.is_post()) throw HttpError(405, "method", "this takes GET only");
  require_right(grant, access_.has_value(), name);
  fleet_->reply(request, name, [&] { require_room_to_stay(request); });
}

void Server::take_mirror_report(const Request& request, const std::string& name,
                                const Grant& grant) {
  request.allow({});
  require_right(grant, access_.has_value(), name);
  if (request.is_post()) return fleet_->take_report(request, name);
  answer_later(request, grant, [store = fleet_->store(), name]() -> Reply {
    const std::string body = events_json(store->events(name));
    return [body](const Request& asked) { asked.reply(200, "application/json", body); };
  });
}

void Server::reply_mirrors(const Request& request, const Grant& grant) {
  request.allow({"search", "most"});
  if (request.is_post()) throw HttpError(405, "method", "this takes GET only");
  FleetQuery query;
  query.search = request.parameter("search").value_or("");
  if (const auto most = request.number("most")) query.most = *most;
  if (access_) {
    if (grant.fleet.empty()) {
      throw HttpError(403, "forbidden", "this token may not read how mirrors are",
                      "give it one that may: \"daystream token --fleet\"");
    }
    query.covers = [grant](const std::string& name) { return grant.covers_mirror(name); };
  }
  answer_later(request, grant, [view = fleet_->view(), query]() -> Reply {
    const std::string body = json_page(fleet_json(view, query));
    return [body](const Request& asked) { asked.reply(200, "application/json", body); };
  });
}

}  // namespace daystream::serve
