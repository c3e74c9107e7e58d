#include "serve/metrics.h"

#include <algorithm>
#include <ctime>
#include <functional>
#include <nlohmann/json.hpp>

#include "program/metrics_text.h"
#include "serve/health.h"

namespace daystream::serve {

namespace {

// So many copies have lines of their own; a peer may invent as many as it likes.
constexpr std::size_t kMostCopies = 2000;
// And so many parts of a group.
constexpr std::size_t kMostParts = 1024;
// And so many revisions of a fleet, which a peer says that it has.
constexpr std::size_t kMostRevisions = 10;

class Metrics {
 public:
  Metrics(const ServedStreams& streams, const Grant& grant, std::int64_t now) {
    for (const auto& [name, served] : streams) {
      if (!grant.covers(name)) continue;
      streams_.emplace_back(name, served);
      facts_.push_back(stream_facts(name, served, now));
    }
  }

  void total(const char* name, const char* help, std::uint64_t value) {
    text_.family(name, "counter", help);
    text_.sample({}, static_cast<double>(value));
  }
  void per_stream(const char* name, const char* type, const char* help,
                  const std::function<std::optional<double>(const Served&)>& value) {
    text_.family(name, type, help);
    for (auto& [stream, served] : streams_) {
      if (const auto known = value(served)) text_.sample({{"stream", stream}}, *known);
    }
  }
  void per_copy(const char* name, const char* help,
                const std::function<std::optional<double>(const Served&, const Copy&)>& value) {
    text_.family(name, "gauge", help);
    for (const auto& [stream, served] : streams_) {
      std::size_t left = kMostCopies;
      for (const auto& [key, copy] : served.get().copies.all()) {
        if (left-- == 0) break;
        const auto known = value(served, copy);
        if (!known) continue;
        text_.sample(
            {{"stream", stream}, {"copy", copy.name}, {"kind", copy.kind}, {"host", copy.host}},
            *known);
      }
    }
  }
  void per_group(const char* name, const char* help,
                 const std::function<double(const sharing::GroupStatus&)>& value) {
    text_.family(name, "gauge", help);
    for (const auto& [stream, served] : streams_) {
      for (const sharing::GroupStatus& group : served.get().groups) {
        text_.sample({{"stream", stream}, {"group", group.name}}, value(group));
      }
    }
  }
  void per_part(const char* name, const char* type, const char* help,
                const std::function<std::optional<double>(const sharing::PartStatus&)>& value) {
    text_.family(name, type, help);
    for (const auto& [stream, served] : streams_) {
      for (const sharing::GroupStatus& group : served.get().groups) {
        for (const sharing::PartStatus& part : group.parts) {
          if (part.part == kMostParts) break;
          const auto known = value(part);
          if (!known) continue;
          text_.sample(
              {{"stream", stream}, {"group", group.name}, {"part", std::to_string(part.part)}},
              *known);
        }
      }
    }
  }
  auto& streams() { return streams_; }
  const std::vector<program::StreamFacts>& facts() const { return facts_; }
  program::MetricsText& text() { return text_; }

 private:
  std::vector<std::pair<std::string, std::reference_wrapper<const Served>>> streams_;
  std::vector<program::StreamFacts> facts_;  // of the same ones
  program::MetricsText text_;
};

void add_server(Metrics& metrics, const ServerFacts& facts) {
  metrics.text().build_info("daystream_serve_build_info");
  metrics.text().gauge("daystream_serve_start_timestamp_seconds", "When this process began.",
                       static_cast<double>(facts.since));
  metrics.total("daystream_serve_requests_total", "Requests that were complete.", facts.requests);
  metrics.total("daystream_serve_refused_total", "Requests that were refused.", facts.refused);
  metrics.total("daystream_serve_disconnected_total",
                "Connections that were too many or too slow to ask.", facts.disconnected);
  metrics.total("daystream_serve_errors_total", "Requests that failed here.", facts.failed);
}

void add_followers(Metrics& metrics) {
  metrics.per_stream("daystream_durable_bytes_total", "counter",
                     "Bytes that became durable since this process began.",
                     [](const Served& served) {
                       return std::optional(static_cast<double>(served.stream->grown_bytes()));
                     });
  metrics.per_stream("daystream_sent_bytes_total", "counter", "Bytes queued for followers.",
                     [](const Served& served) {
                       return std::optional(static_cast<double>(served.all_sent_bytes()));
                     });
  metrics.text().family("daystream_followers", "gauge", "Followers by what they do.");
  for (auto& [stream, served] : metrics.streams()) {
    for (const std::string state : {"live", "sending", "stuck"}) {
      const auto& followers = served.get().followers;
      const auto count = std::count_if(followers.begin(), followers.end(), [&](const auto& one) {
        return !one->ended() && one->state() == state;
      });
      metrics.text().sample({{"stream", stream}, {"state", state}}, static_cast<double>(count));
    }
  }
  metrics.per_stream("daystream_backlog_bytes", "gauge",
                     "Bytes that the slowest follower is behind.",
                     [](const Served& served) -> std::optional<double> {
                       std::uint64_t most = 0;
                       for (const auto& follower : served.followers) {
                         if (!follower->ended()) most = std::max(most, follower->backlog_bytes());
                       }
                       return static_cast<double>(most);
                     });
  metrics.per_stream("daystream_commit_lag_seconds", "gauge",
                     "From the last commit on the server to durable here, of the last hour.",
                     [](const Served& served) -> std::optional<double> {
                       const auto& steps = served.history.steps();
                       const auto last = std::find_if(steps.rbegin(), steps.rend(),
                                                      [](const auto& step) { return step.lag_ms; });
                       if (last == steps.rend()) return std::nullopt;
                       return static_cast<double>(*last->lag_ms) / 1000;
                     });
}

void add_copies(Metrics& metrics, std::int64_t now) {
  metrics.per_stream("daystream_copies", "gauge", "Mirrors and relays heard within a day.",
                     [](const Served& served) {
                       return std::optional(static_cast<double>(served.copies.all().size()));
                     });
  metrics.per_copy("daystream_copy_up", "1 while the mirror or relay reports, and no trouble.",
                   [now](const Served&, const Copy& copy) -> std::optional<double> {
                     return copy_trouble(copy, now).empty() ? 1 : 0;
                   });
  metrics.per_copy("daystream_copy_heard_timestamp_seconds", "When it was last heard.",
                   [](const Served&, const Copy& copy) -> std::optional<double> {
                     return static_cast<double>(copy.told);
                   });
  metrics.per_copy("daystream_copy_lag_seconds", "How old what the mirror has is.",
                   [now](const Served& served, const Copy& copy) -> std::optional<double> {
                     if (copy.kind != "mirror") return std::nullopt;
                     return static_cast<double>(copy_lag_ms(copy, served.stream->durable(), now)) /
                            1000;
                   });
  metrics.per_copy("daystream_copy_lsn_bytes", "The LSN that it has, as a number.",
                   [](const Served&, const Copy& copy) -> std::optional<double> {
                     return static_cast<double>(copy.lsn.value);
                   });
}

void add_groups(Metrics& metrics, std::int64_t now) {
  using sharing::GroupStatus;
  using sharing::PartStatus;
  using Known = std::optional<double>;
  metrics.per_group(
      "daystream_group_workers", "Workers of the consumer group that live.",
      [](const GroupStatus& group) { return static_cast<double>(group.workers.size()); });
  metrics.per_group("daystream_group_paused", "1 while the group is paused.",
                    [](const GroupStatus& group) { return group.paused ? 1 : 0; });
  metrics.per_part("daystream_group_part_held", "gauge", "1 while a worker has the part.",
                   [](const PartStatus& part) -> Known { return part.held ? 1 : 0; });
  metrics.per_part("daystream_group_lag_bytes", "gauge",
                   "Bytes of the stream that the part has not done.",
                   [](const PartStatus& part) -> Known {
                     if (!part.lag_bytes) return std::nullopt;
                     return static_cast<double>(*part.lag_bytes);
                   });
  metrics.per_part("daystream_group_lag_seconds", "gauge",
                   "Since the oldest transaction that the part has not acknowledged was committed.",
                   [now](const PartStatus& part) -> Known {
                     const auto seconds = part.lag_seconds(now);
                     if (!seconds) return std::nullopt;
                     return static_cast<double>(*seconds);
                   });
  metrics.per_part("daystream_group_gone", "gauge",
                   "1 where what the part needs next is no longer kept.",
                   [](const PartStatus& part) -> Known { return part.lag_bytes ? 0 : 1; });
  metrics.per_part("daystream_group_failures", "gauge",
                   "How often in a row the part's next transactions were not done.",
                   [](const PartStatus& part) -> Known { return part.record.failures; });
  metrics.per_part("daystream_group_redeliveries_total", "counter",
                   "Times that something was handed over again.",
                   [](const PartStatus& part) -> Known {
                     return static_cast<double>(part.record.redeliveries);
                   });
  metrics.per_part(
      "daystream_group_expired_total", "counter",
      "Transactions that were too old to be handed over.",
      [](const PartStatus& part) -> Known { return static_cast<double>(part.record.expired); });
  metrics.per_part(
      "daystream_group_dead_letters", "gauge", "Dead letters that are there now.",
      [](const PartStatus& part) -> Known { return static_cast<double>(part.dead_letters); });
}

// By state and by revision: a series for each of ten thousand mirrors is more than is looked at.
// Of those of a token's mirrors alone nothing is known.
void add_commands(program::MetricsText& text, const fleet::FleetView& fleet) {
  if (!fleet.commands) return;
  std::map<std::string, std::uint64_t> states = {
      {"waiting", 0}, {"running", 0}, {"done", 0}, {"failed", 0}};
  for (const auto& command : *fleet.commands) {
    if (command["state"] == "expired") continue;
    for (const auto& [state, count] : command["mirrors"].items()) {
      states[state == "not accepted" ? "not_accepted" : state] += count.get<std::uint64_t>();
    }
  }
  text.family("daystream_fleet_commands", "gauge",
              "What became of the newest commands that have not expired, at each mirror.");
  for (const auto& [state, count] : states) {
    text.sample({{"state", state}}, static_cast<double>(count));
  }
}

void add_fleet(program::MetricsText& text, const fleet::FleetView& fleet) {
  text.gauge("daystream_fleet_revision", "The newest revision of the fleet.",
             static_cast<double>(fleet.revision));
  text.gauge("daystream_fleet_rollout_stopped",
             "1 while the roll-out of the newest revision stands still until somebody looks at it.",
             fleet.rollout && (*fleet.rollout)["state"] == "stopped" ? 1 : 0);
  text.family("daystream_fleet_mirrors", "gauge", "Mirrors of the fleet by how they are.");
  for (const auto& [state, count] : fleet.states()) {
    text.sample({{"state", state}}, static_cast<double>(count));
  }
  text.family("daystream_fleet_revision_mirrors", "gauge",
              "Mirrors by the revision that is in force there, of the newest ones.");
  const auto revisions = fleet.revisions();
  std::size_t left = kMostRevisions;
  for (auto each = revisions.rbegin(); each != revisions.rend() && left > 0; ++each, --left) {
    text.sample({{"revision", each->first ? std::to_string(*each->first) : "none"}},
                static_cast<double>(each->second));
  }
  add_commands(text, fleet);
  double lag = 0;
  for (const auto& mirror : fleet.mirrors) lag = std::max(lag, mirror->lag_seconds.value_or(0));
  text.gauge("daystream_fleet_lag_seconds", "How old what the mirror has is that is last.", lag);
}

}  // namespace

std::string metrics_text(const ServerFacts& facts, const ServedStreams& streams, const Grant& grant,
                         const fleet::FleetView* fleet) {
  const std::int64_t now = std::time(nullptr);
  Metrics metrics(streams, grant, now);
  program::add_durable_metrics(metrics.text(), metrics.facts());
  if (grant.is_limited()) return metrics.text().take();
  add_server(metrics, facts);
  program::add_streamer_metrics(metrics.text(), metrics.facts());
  add_followers(metrics);
  add_copies(metrics, now);
  add_groups(metrics, now);
  if (fleet != nullptr) add_fleet(metrics.text(), *fleet);
  return metrics.text().take();
}

}  // namespace daystream::serve
