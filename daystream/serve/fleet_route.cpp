#include "serve/fleet_route.h"

#include <event2/bufferevent.h>
#include <event2/http.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "daystream/error.h"
#include "json_text.h"
#include "program/figures.h"
#include "serve/server.h"

namespace daystream::serve {

using std::chrono::steady_clock;

namespace {

constexpr std::size_t kMostHeldInput = 4096;  // of what comes while an answer is held

}  // namespace

FleetRoute::FleetRoute(event_base* loop, const std::filesystem::path& directory,
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
      tick_(loop, -1, false, [this] { tick(); }) {
  // What came since it was read is found by the first look, which is due at once.
  watch_event_.start(DurableWatch::kBetweenLooks);
  spdlog::info("fleet \"{}\": revision {} is offered", directory_.path().string(),
               revision_.number);
}

FleetRoute::~FleetRoute() {
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

void Server::reply_fleet(const Request& request, const std::string& name, const Grant& grant) {
  request.allow({"label", "after", "wait"});
  if (request.is_post()) throw HttpError(405, "method", "this takes GET only");
  if (access_ && !grant.covers_mirror(name)) {
    throw HttpError(403, "forbidden",
                    fmt::format("this token may not read the configuration of \"{}\"", plain(name)),
                    "give it one that may: \"daystream token --fleet\"");
  }
  fleet_->reply(request, name, [&] { require_room_to_stay(request); });
}

}  // namespace daystream::serve
