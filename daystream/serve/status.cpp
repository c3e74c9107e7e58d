#include "serve/status.h"

#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "calendar.h"
#include "json_text.h"
#include "serve/describe.h"
#include "serve/health.h"
#include "stream_json.h"

namespace daystream::serve {

namespace {

using nlohmann::ordered_json;

ordered_json days_json(const StreamSample& sample) {
  ordered_json days = ordered_json::array();
  for (const StreamSample::DaySize& day : sample.days) {
    days.push_back({{"day", day_text(day.day)},
                    {"stored_bytes", day.stored_bytes},
                    {"compressed", day.packed}});
  }
  return days;
}

ordered_json follower_json(Follower& follower) {
  const FollowerFacts& facts = follower.facts();
  return {{"host", facts.host},
          {"address", facts.peer},
          {"client", facts.client},
          {"grant", facts.grant},
          {"tables", facts.tables},
          {"since", utc_text(at_second(facts.since))},
          {"position", follower.position().text()},
          {"backlog_bytes", follower.backlog_bytes()},
          {"sent_bytes", follower.sent_bytes()},
          {"state", follower.state()}};
}

// As everywhere: a list of what is wrong. Here it is one thing, or nothing.
ordered_json trouble_json(const std::string& trouble) {
  return trouble.empty() ? ordered_json::array() : ordered_json::array({trouble});
}

double seconds_of(std::int64_t milliseconds) {
  return static_cast<double>(milliseconds) / 1000;
}

// Of one that is silent no number is shown but when it spoke: all others are old. The file may say
// anything, in any type.
ordered_json streamer_json(const StreamSample& sample, const StreamHealth& health) {
  if (!sample.streamer) return nullptr;
  ordered_json told = *sample.streamer;
  if (health.fresh) return told;
  for (auto& [key, value] : told.items()) {
    if (value.is_number() && key != "pid") value = nullptr;
  }
  if (told["state"] != "stopped") told["state"] = "silent";
  return told;
}

ordered_json stream_json(const Served& served, std::int64_t now, bool is_limited) {
  ordered_json value;
  value["name"] = served.stream->name();
  value["durable"] = nullptr;
  value["age_seconds"] = nullptr;
  if (const auto& durable = served.stream->durable()) {
    value["durable"] = to_json(StreamInfo::Point{durable->position, durable->lsn});
    value["age_seconds"] = std::max<std::int64_t>(0, now - durable->position.c);
  }
  value["trouble"] = ordered_json::array();
  value["streamer"] = nullptr;
  for (const char* list : {"days", "followers", "copies", "groups"})
    value[list] = ordered_json::array();
  if (is_limited) return value;
  const StreamSample& sample = served.stream->latest();
  value["sent_bytes"] = served.all_sent_bytes();
  const StreamHealth health = stream_health(served, now);
  value["trouble"] = trouble_json(health.text());
  value["streamer"] = streamer_json(sample, health);
  value["days"] = days_json(sample);
  for (const auto& follower : served.followers) {
    if (!follower->ended()) value["followers"].push_back(follower_json(*follower));
  }
  for (const auto& [key, copy] : served.copies.all()) {
    value["copies"].push_back(
        ordered_json{{"copy", copy.name},
                     {"kind", copy.kind},
                     {"host", copy.host},
                     {"position", copy.position.text()},
                     {"lsn", copy.lsn.text()},
                     {"lag_seconds", seconds_of(copy_lag_ms(copy, served.stream->durable(), now))},
                     {"trouble", trouble_json(copy_trouble(copy, now))},
                     {"on_disk", copy.proven},
                     {"told_at", utc_text(at_second(copy.told))}});
  }
  for (const sharing::GroupStatus& group : served.groups) {
    value["groups"].push_back(sharing::to_json(group, now));
  }
  return value;
}

}  // namespace

std::string status_json(const ServerFacts& facts, const ServedStreams& streams, const Grant& grant,
                        bool has_fleet) {
  const std::int64_t now = std::time(nullptr);
  ordered_json value;
  value["version"] = DELTAFLOOD_VERSION;
  value["time"] = utc_text(at_second(now));
  value["since"] = utc_text(at_second(facts.since));
  if (!grant.is_limited()) {
    value["requests"] = facts.requests;
    value["refused"] = facts.refused;
    value["disconnected"] = facts.disconnected;
  }
  value["fleet"] = has_fleet;
  value["streams"] = ordered_json::array();
  for (const auto& [name, served] : streams) {
    if (!grant.covers(name)) continue;
    value["streams"].push_back(stream_json(served, now, grant.is_limited()));
  }
  return json_page(value);
}

std::string history_json(const ServedStreams& streams, const Grant& grant) {
  ordered_json value;
  value["step_seconds"] = RateSamples::kStep.count();
  value["streams"] = ordered_json::object();
  for (const auto& [name, served] : streams) {
    if (!grant.covers(name)) continue;
    ordered_json& stream = value["streams"][name];
    for (const char* key : {"bytes_per_second", "lag_seconds", "followers"}) {
      stream[key] = ordered_json::array();
    }
    if (grant.is_limited()) continue;
    for (const RateSamples::Step& step : served.history.steps()) {
      stream["bytes_per_second"].push_back(step.bytes_per_second);
      stream["lag_seconds"].push_back(step.lag_ms ? ordered_json(seconds_of(*step.lag_ms))
                                                  : ordered_json(nullptr));
      stream["followers"].push_back(step.followers);
    }
  }
  return json_line(value);
}

}  // namespace daystream::serve
