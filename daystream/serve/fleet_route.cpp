#include "serve/fleet_route.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <ctime>
#include <utility>

#include "calendar.h"
#include "daystream/error.h"
#include "json_text.h"
#include "program/figures.h"
#include "program/hint.h"

namespace daystream::serve {

using fleet::FleetQuery;
using fleet::FleetView;
using fleet::MirrorReport;
using fleet::ReportEvent;
using fleet::Revision;
using fleet::Rollout;
using fleet::RolloutProgress;

namespace {

constexpr std::size_t kMostNameBytes = 100;  // of a mirror

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

FleetRoute::FleetRoute(event_base* loop, Answers& answers, Workers& workers,
                       const std::filesystem::path& directory, bool has_tokens,
                       std::chrono::seconds stall)
    : answers_(answers),
      has_tokens_(has_tokens),
      directory_(directory),
      newest_([this] {
        const auto newest = directory_.newest();
        if (newest) return Offer{directory_.revision(*newest)};
        throw ConfigError(
            fmt::format("fleet \"{}\" has no revision yet", directory_.path().string()),
            fmt::format("make one: daystream fleet {} publish", directory_.path().string()));
      }()),
      watch_(directory_.revisions_path(), DurableWatch::kAnyName),
      watch_event_(loop, watch_.fd(), true, [this] { watched(); }),
      reports_(loop, workers, directory,
               [this](const std::string& mirror) {
                 if (rollout_) rollout_->forget(mirror);
               }),
      commands_(directory, reports_),
      held_(loop, stall, [this](const MirrorRequest& asked) {
        answers_.now(asked.request, [&] { answer(asked); });
      }) {
  offer(std::move(newest_));
  // What came since it was read is found by the first look, which is due at once.
  watch_event_.start(DurableWatch::kBetweenLooks);
  spdlog::info("fleet \"{}\": revision {} is offered", directory_.path().string(),
               newest_.revision.number);
}

FleetView FleetRoute::view() const {
  FleetView view = reports_.view(newest_.revision.number);
  if (rollout_) {
    view.rollout = std::make_shared<const nlohmann::ordered_json>(
        to_json(rollout_->plan(), rollout_->progress()));
  }
  return view;
}

void FleetRoute::take_report(const Request& request, const std::string& name) {
  request.allow({});
  const std::string body = request.body();
  if (body.size() > fleet::kMostReportBytes) {
    throw HttpError(400, "bad-request",
                    fmt::format("a report has at most {} bytes", fleet::kMostReportBytes));
  }
  auto report = fleet::parse_report(name, body, std::time(nullptr));
  if (!report) throw HttpError(400, "bad-request", "this is no report of a mirror");
  const auto orders = commands_.tell(*report);
  if (!reports_.tell(std::move(*report))) {
    throw HttpError(
        503, "busy",
        fmt::format("{} mirrors are known already: no other is kept", fleet::kMostMirrors),
        fmt::format("those that are silent for {} days make room",
                    fleet::kMirrorGoneS / kSecondsPerDay));
  }
  request.reply(200, "application/json", json_line(orders));
}

void FleetRoute::watched() noexcept {
  try {
    if (watch_.wait(std::chrono::milliseconds(0), -1)) look();
    look_at_rollout();
    look_at_commands();
  } catch (const std::exception& e) {
    spdlog::error("fleet: {}", e.what());
  }
}

// Mirrors that a new one is about ask for it with their next report, which they make at once where
// an answer is held for them.
void FleetRoute::look_at_commands() noexcept {
  if (commands_.look()) answer_due();
}

void FleetRoute::look() noexcept {
  try {
    const auto newest = directory_.newest();
    if (newest && *newest != newest_.revision.number) take(*newest);
    if (!rollout_) return;
    if (auto plan = fleet::load_plan(directory_.path(), newest_.revision.number)) {
      rollout_->hear(std::move(*plan));
    }
  } catch (const std::exception& e) {
    spdlog::error("fleet \"{}\": revision {} stays in force: {}", directory_.path().string(),
                  newest_.revision.number, e.what());
  }
}

void FleetRoute::take(std::uint64_t number) {
  offer(Offer{directory_.revision(number)});
  spdlog::info("fleet \"{}\": revision {} by {} is offered, {}", directory_.path().string(), number,
               plain(newest_.revision.author),
               rollout_ ? fmt::format("in steps: {}", fmt::join(rollout_->plan().steps, ", "))
                        : "at once to " + program::counted(held_.count(), "mirror"));
  look_at_rollout();
  answer_due();
}

// All of it, or, where something of it cannot be read, nothing.
void FleetRoute::offer(Offer newest) {
  const std::uint64_t number = newest.revision.number;
  std::optional<Offer> former;
  std::optional<Rollout> rollout;
  if (auto plan = fleet::load_plan(directory_.path(), number)) {
    rollout.emplace(number, std::move(*plan), fleet::load_progress(directory_.path()));
    if (rollout->is_done()) {
      rollout.reset();
    } else {
      former = Offer{directory_.revision(rollout->plan().from)};
    }
  }
  newest_ = std::move(newest);
  former_ = std::move(former);
  rollout_ = std::move(rollout);
}

void FleetRoute::look_at_rollout() noexcept {
  if (!rollout_) return;
  try {
    const RolloutProgress before = rollout_->progress();
    rollout_->look(view(), [this](const MirrorReport& mirror) {
      const auto body = [&](Offer& offer) {
        const auto rules = offer.revision.content.matching(mirror.name, mirror.labels);
        return rules.empty() ? std::string() : offer.of(rules).body;
      };
      return body(newest_) != body(*former_);
    });
    keep_progress(before);
    if (before.step != rollout_->progress().step ||
        before.mirrors.size() != rollout_->progress().mirrors.size()) {
      answer_due();
    }
    if (rollout_->is_done()) {
      former_.reset();
      rollout_.reset();
    }
  } catch (const std::exception& e) {
    spdlog::error("fleet: {}", e.what());
  }
}

void FleetRoute::keep_progress(const RolloutProgress& before) noexcept {
  const RolloutProgress& now = rollout_->progress();
  if (before == now) return;
  if (before.state != now.state || before.step != now.step) {
    const std::string what = fmt::format("fleet \"{}\": the roll-out of revision {}",
                                         directory_.path().string(), now.revision);
    if (now.state == "stopped") {
      spdlog::error("{} has stopped: {}", what,
                    program::with_hint(now.reason,
                                       "\"daystream fleet DIR rollback\", or "
                                       "\"rollout continue\""));
    } else if (now.is_done()) {
      spdlog::info("{} is done", what);
    } else {
      spdlog::info("{} goes on: {}", what, rollout_->plan().steps.at(now.step));
    }
  }
  // What is waited for changes often, and is written with the reports.
  reports_.keep(now, before.state != now.state || before.mirrors.size() != now.mirrors.size() ||
                         before.step != now.step || before.order != now.order);
}

void FleetRoute::answer_due() {
  held_.answer_due(
      [this](const MirrorRequest& asked, std::uint64_t known) { return is_due(asked, known); });
}

bool FleetRoute::is_due(const MirrorRequest& asked, std::uint64_t known) {
  return offer_for(asked.name).revision.number != known ||
         (asked.commands && commands_.newest_for(asked.name) > *asked.commands);
}

FleetRoute::Offer& FleetRoute::offer_for(const std::string& name) {
  return rollout_ && !rollout_->offers(name) ? *former_ : newest_;
}

const FleetRoute::Composed& FleetRoute::Offer::of(const std::vector<std::size_t>& rules) {
  const auto found = composed.find(rules);
  if (found != composed.end()) return found->second;
  const nlohmann::json config = revision.content.compose(rules);
  Composed made{json_page(config), {}};
  if (const auto problems = fleet::config_problems(config); !problems.empty())
    made.problem = problems[0];
  return composed[rules] = std::move(made);
}

void FleetRoute::answer(const MirrorRequest& asked) {
  const auto& [request, name, labels, commands] = asked;
  Offer& offer = offer_for(name);
  const std::string number = std::to_string(offer.revision.number);
  const std::string tag = fmt::format("\"{}\"", number);
  request.set_header("Daystream-Revision", number);
  request.set_header("Daystream-Commands", std::to_string(commands_.newest_for(name)));
  const auto rules = offer.revision.content.matching(name, labels);
  if (rules.empty()) {
    throw HttpError(
        404, "no-configuration",
        fmt::format("no rule of the fleet's revision {} is about \"{}\"", number, plain(name)),
        "\"daystream fleet DIR check NAME --label …\" there says what a mirror gets");
  }
  const Composed& config = offer.of(rules);
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

void FleetRoute::reply_config(const Request& request, const std::string& name) {
  request.allow({"label", "after", "wait", "commands"});
  if (request.is_post()) throw HttpError(405, "method", "this takes GET only");
  MirrorRequest asked{request, name, {}};
  try {
    asked.labels = program::parse_labels(request.parameters("label"));
  } catch (const ConfigError& e) {
    throw HttpError(400, "bad-request", e.what(), e.hint());
  }
  asked.commands = request.number("commands");
  const auto after = request.number("after");
  const std::uint64_t wait = request.number("wait").value_or(0);
  if (wait > kMostWaitSeconds) {
    throw HttpError(400, "bad-request",
                    fmt::format("an answer waits for at most {} s", kMostWaitSeconds));
  }
  if (!after || wait == 0 || is_due(asked, *after)) return answer(asked);
  answers_.require_room_to_stay(request);
  held_.hold(std::move(asked), *after, std::chrono::seconds(wait));
}

void FleetRoute::require_right(const Grant& grant, const std::string& name) const {
  if (name.size() > kMostNameBytes || plain(name, kMostNameBytes) != name) {
    throw HttpError(400, "bad-request",
                    fmt::format("a mirror's name has at most {} bytes, and no control characters",
                                kMostNameBytes));
  }
  if (!has_tokens_ || grant.covers_mirror(name)) return;
  throw HttpError(403, "forbidden",
                  fmt::format("this token may not read the configuration of \"{}\"", plain(name)),
                  "give it one that may: \"daystream token --fleet\"");
}

void FleetRoute::route(const Request& request, const Grant& grant) {
  const std::vector<std::string>& path = request.path();
  if (path.size() == 1) return reply_all(request, grant);
  const bool of_reports = path.size() == 3 && path[2] == "report";
  if (path.size() > 2 && !of_reports) throw HttpError(404, "not-found", "there is nothing here");
  require_right(grant, path[1]);
  if (!of_reports) return reply_config(request, path[1]);
  if (request.is_post()) return take_report(request, path[1]);
  reply_events(request, path[1], grant);
}

void FleetRoute::reply_events(const Request& request, const std::string& name, const Grant& grant) {
  request.allow({});
  answers_.later(request, grant, [store = reports_.store(), name]() -> Answers::Reply {
    const std::string body = events_json(store->events(name));
    return [body](const Request& asked) { asked.reply(200, "application/json", body); };
  });
}

std::optional<FleetView> FleetRoute::view_for(const Grant& grant) const {
  if (!may_see(grant)) return std::nullopt;
  FleetView view = this->view();
  view.commands = commands_.summary(view);
  if (has_tokens_) {
    view.keep_only([&grant](const std::string& mirror) { return grant.covers_mirror(mirror); });
  }
  return view;
}

void FleetRoute::reply_all(const Request& request, const Grant& grant) {
  request.allow({"search", "most"});
  if (request.is_post()) throw HttpError(405, "method", "this takes GET only");
  FleetQuery query;
  query.search = request.parameter("search").value_or("");
  if (const auto most = request.number("most")) query.most = *most;
  auto view = view_for(grant);
  if (!view) {
    throw HttpError(403, "forbidden", "this token may not read how mirrors are",
                    "give it one that may: \"daystream token --fleet\"");
  }
  answers_.later(request, grant, [view = std::move(*view), query]() -> Answers::Reply {
    const std::string body = json_page(fleet::fleet_json(view, query));
    return [body](const Request& asked) { asked.reply(200, "application/json", body); };
  });
}

}  // namespace daystream::serve
