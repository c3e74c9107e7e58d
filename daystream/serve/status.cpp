#include "serve/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "calendar.h"
#include "serve/describe.h"

namespace daystream::serve {

namespace {

using nlohmann::ordered_json;

std::uint64_t sent_bytes(const Served& served) {
  std::uint64_t total = served.sent_bytes;
  for (const auto& follower : served.followers) total += follower->sent_bytes();
  return total;
}

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
          {"since", utc_text(facts.since)},
          {"position", follower.position().text()},
          {"backlog_bytes", follower.backlog_bytes()},
          {"sent_bytes", follower.sent_bytes()},
          {"state", follower.state()}};
}

std::int64_t most_lag_ms(const Served& served) {
  std::int64_t most = 0;
  for (const auto& [name, copy] : served.copies.all()) most = std::max(most, copy.lag_ms);
  return most;
}

ordered_json stream_json(Served& served, std::int64_t now, bool is_limited) {
  ordered_json value;
  value["name"] = served.stream->name();
  value["durable"] = nullptr;
  value["age_s"] = nullptr;
  if (const auto& durable = served.stream->durable()) {
    value["durable"] = place_json(durable->position, durable->lsn);
    value["age_s"] = std::max<std::int64_t>(0, now - durable->position.c);
  }
  value["streamer"] = nullptr;
  for (const char* list : {"days", "followers", "copies"}) value[list] = ordered_json::array();
  if (is_limited) return value;
  const StreamSample& sample = served.stream->latest();
  value["sent_bytes"] = sent_bytes(served);
  if (sample.streamer) value["streamer"] = *sample.streamer;
  value["days"] = days_json(sample);
  for (const auto& follower : served.followers) {
    if (!follower->ended()) value["followers"].push_back(follower_json(*follower));
  }
  for (const auto& [key, copy] : served.copies.all()) {
    value["copies"].push_back(ordered_json{{"copy", copy.name},
                                           {"kind", copy.kind},
                                           {"host", copy.host},
                                           {"position", copy.position.text()},
                                           {"lsn", copy.lsn.text()},
                                           {"lag_ms", copy.lag_ms},
                                           {"on_disk", copy.proven},
                                           {"told", utc_text(copy.told)}});
  }
  return value;
}

}  // namespace

std::string status_json(const ServerFacts& facts, ServedStreams& streams, const Grant& grant) {
  const std::int64_t now = std::time(nullptr);
  ordered_json value;
  value["version"] = DELTAFLOOD_VERSION;
  value["time"] = utc_text(now);
  value["since"] = utc_text(facts.since);
  if (!grant.is_limited()) {
    value["requests"] = facts.requests;
    value["refused"] = facts.refused;
    value["disconnected"] = facts.disconnected;
  }
  value["streams"] = ordered_json::array();
  for (auto& [name, served] : streams) {
    if (!grant.covers(name)) continue;
    value["streams"].push_back(stream_json(served, now, grant.is_limited()));
  }
  return value.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string history_json(ServedStreams& streams, const Grant& grant) {
  ordered_json value;
  value["step_s"] = History::kStep.count();
  value["streams"] = ordered_json::object();
  for (auto& [name, served] : streams) {
    if (!grant.covers(name)) continue;
    ordered_json& stream = value["streams"][name];
    for (const char* key : {"bytes_per_s", "lag_ms", "followers"}) {
      stream[key] = ordered_json::array();
    }
    if (grant.is_limited()) continue;
    for (const History::Step& step : served.history.steps()) {
      stream["bytes_per_s"].push_back(step.bytes_per_s);
      stream["lag_ms"].push_back(step.lag_ms ? ordered_json(*step.lag_ms) : ordered_json(nullptr));
      stream["followers"].push_back(step.followers);
    }
  }
  return value.dump() + "\n";
}

std::string metrics_text(const ServerFacts& facts, ServedStreams& streams, const Grant& grant) {
  std::string text;
  const auto family = [&text](const char* name, const char* type, const char* help) {
    text += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
  };
  const auto total = [&](const char* name, const char* help, std::uint64_t value) {
    family(name, "counter", help);
    text += fmt::format("{} {}\n", name, value);
  };
  // Names of streams are letters, digits, - _ . and need no escapes.
  const auto per_stream = [&](const char* name, const char* type, const char* help,
                              const std::function<std::uint64_t(Served&)>& value) {
    family(name, type, help);
    for (auto& [stream, served] : streams) {
      if (!grant.covers(stream)) continue;
      text += fmt::format("{}{{stream=\"{}\"}} {}\n", name, stream, value(served));
    }
  };
  per_stream("daystream_durable_seconds", "gauge", "When the last durable line began to arrive.",
             [](Served& served) -> std::uint64_t {
               const auto& durable = served.stream->durable();
               return durable ? static_cast<std::uint64_t>(durable->position.c) : 0;
             });
  per_stream("daystream_durable_lsn_bytes", "gauge", "The last durable LSN, as a number.",
             [](Served& served) -> std::uint64_t {
               const auto& durable = served.stream->durable();
               return durable ? durable->lsn.value : 0;
             });
  if (grant.is_limited()) return text;

  total("daystream_serve_requests_total", "Requests that were complete.", facts.requests);
  total("daystream_serve_refused_total", "Requests that were refused.", facts.refused);
  total("daystream_serve_disconnected_total", "Connections that were too many or too slow to ask.",
        facts.disconnected);
  total("daystream_serve_errors_total", "Requests that failed here.", facts.failed);

  per_stream("daystream_sent_bytes_total", "counter", "Bytes queued for followers.", sent_bytes);
  for (const char* state : {"live", "sending", "stuck"}) {
    if (state == std::string("live")) {
      family("daystream_followers", "gauge", "Followers by what they do.");
    }
    for (auto& [stream, served] : streams) {
      if (!grant.covers(stream)) continue;
      const auto count = std::count_if(
          served.followers.begin(), served.followers.end(), [state](const auto& follower) {
            return !follower->ended() && follower->state() == std::string(state);
          });
      text += fmt::format("daystream_followers{{stream=\"{}\",state=\"{}\"}} {}\n", stream, state,
                          count);
    }
  }
  per_stream("daystream_backlog_bytes", "gauge", "Bytes that the slowest follower is behind.",
             [](Served& served) -> std::uint64_t {
               std::uint64_t most = 0;
               for (const auto& follower : served.followers) {
                 if (!follower->ended()) most = std::max(most, follower->backlog_bytes());
               }
               return most;
             });
  per_stream("daystream_bytes_total", "counter", "Bytes that became durable since the start.",
             [](Served& served) { return served.stream->grown_bytes(); });
  per_stream("daystream_rate_bytes_per_second", "gauge", "Bytes that became durable, over 10 s.",
             [](Served& served) -> std::uint64_t {
               const auto& steps = served.history.steps();
               return steps.empty() ? 0 : static_cast<std::uint64_t>(steps.back().bytes_per_s);
             });
  per_stream("daystream_commit_lag_milliseconds", "gauge",
             "From the last commit on the server to durable here.",
             [](Served& served) -> std::uint64_t {
               const auto& steps = served.history.steps();
               const auto last = std::find_if(steps.rbegin(), steps.rend(),
                                              [](const auto& step) { return step.lag_ms; });
               return last == steps.rend() ? 0 : static_cast<std::uint64_t>(*last->lag_ms);
             });
  per_stream("daystream_copy_lag_milliseconds", "gauge", "The most that a mirror tells of itself.",
             [](Served& served) { return static_cast<std::uint64_t>(most_lag_ms(served)); });
  family("daystream_retained_wal_bytes", "gauge", "WAL that PostgreSQL keeps for the stream.");
  for (auto& [stream, served] : streams) {
    if (!grant.covers(stream)) continue;
    const auto& told = served.stream->latest().streamer;
    if (!told) continue;
    const auto retained = told->find("retained_wal_bytes");
    if (retained == told->end() || !retained->is_number()) continue;
    text += fmt::format("daystream_retained_wal_bytes{{stream=\"{}\"}} {}\n", stream,
                        retained->get<std::uint64_t>());
  }
  per_stream("daystream_copies", "gauge", "Copies that told of themselves within a day.",
             [](Served& served) { return served.copies.all().size(); });
  return text;
}

}  // namespace daystream::serve
