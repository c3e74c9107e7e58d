#include "serve/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <nlohmann/json.hpp>

#include "serve/health.h"

namespace daystream::serve {

namespace {

// So many copies have lines of their own; a peer may invent as many as it likes.
constexpr std::size_t kMostCopies = 2000;

// A value within a label: copies and hosts call themselves what they like.
std::string label(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out;
}

class Metrics {
 public:
  Metrics(ServedStreams& streams, const Grant& grant, std::int64_t now) : now_(now) {
    for (auto& [name, served] : streams) {
      if (grant.covers(name)) streams_.emplace_back(name, served);
    }
  }

  void family(const char* name, const char* type, const char* help) {
    text_ += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
  }
  void total(const char* name, const char* help, std::uint64_t value) {
    family(name, "counter", help);
    text_ += fmt::format("{} {}\n", name, value);
  }
  void line(const std::string& text) { text_ += text + '\n'; }

  // Names of streams are letters, digits, - _ . and need no escapes. nullopt: not known.
  void per_stream(const char* name, const char* type, const char* help,
                  const std::function<std::optional<double>(Served&)>& value) {
    family(name, type, help);
    for (auto& [stream, served] : streams_) {
      const auto known = value(served);
      if (known) text_ += fmt::format("{}{{stream=\"{}\"}} {}\n", name, stream, *known);
    }
  }
  // A number that a deltastream here told just now.
  void told(const char* name, const char* help, const char* key) {
    per_stream(name, "gauge", help, [&](Served& served) -> std::optional<double> {
      const StreamHealth health = stream_health(served, now_);
      if (!health.fresh) return std::nullopt;
      const auto found = health.fresh->find(key);
      if (found == health.fresh->end() || !found->is_number()) return std::nullopt;
      return found->get<double>();
    });
  }
  void per_copy(const char* name, const char* help,
                const std::function<std::optional<double>(const Served&, const Copy&)>& value) {
    family(name, "gauge", help);
    for (const auto& [stream, served] : streams_) {
      std::size_t left = kMostCopies;
      for (const auto& [key, copy] : served.get().copies.all()) {
        if (left-- == 0) break;
        const auto known = value(served, copy);
        if (!known) continue;
        text_ += fmt::format("{}{{stream=\"{}\",copy=\"{}\",kind=\"{}\",host=\"{}\"}} {}\n", name,
                             stream, label(copy.name), label(copy.kind), label(copy.host), *known);
      }
    }
  }
  auto& streams() { return streams_; }
  std::string take() { return std::move(text_); }

 private:
  std::int64_t now_;
  std::vector<std::pair<std::string, std::reference_wrapper<Served>>> streams_;
  std::string text_;
};

void add_durable(Metrics& metrics) {
  metrics.per_stream("daystream_durable_timestamp_seconds", "gauge",
                     "When the last durable line began to arrive.",
                     [](Served& served) -> std::optional<double> {
                       const auto& durable = served.stream->durable();
                       if (!durable) return std::nullopt;
                       return static_cast<double>(durable->position.c);
                     });
  metrics.per_stream("daystream_durable_lsn_bytes", "gauge", "The last durable LSN, as a number.",
                     [](Served& served) -> std::optional<double> {
                       const auto& durable = served.stream->durable();
                       if (!durable) return std::nullopt;
                       return static_cast<double>(durable->lsn.value);
                     });
}

void add_server(Metrics& metrics, const ServerFacts& facts) {
  metrics.family("daystream_serve_build_info", "gauge", "Which version this is.");
  metrics.line("daystream_serve_build_info{version=\"" DELTAFLOOD_VERSION "\"} 1");
  metrics.family("daystream_serve_start_timestamp_seconds", "gauge", "When this process began.");
  metrics.line(fmt::format("daystream_serve_start_timestamp_seconds {}", facts.since));
  metrics.total("daystream_serve_requests_total", "Requests that were complete.", facts.requests);
  metrics.total("daystream_serve_refused_total", "Requests that were refused.", facts.refused);
  metrics.total("daystream_serve_disconnected_total",
                "Connections that were too many or too slow to ask.", facts.disconnected);
  metrics.total("daystream_serve_errors_total", "Requests that failed here.", facts.failed);
}

void add_streamer(Metrics& metrics, std::int64_t now) {
  metrics.per_stream("daystream_up", "gauge",
                     "1 while the stream is written; /status says what is wrong.",
                     [now](Served& served) -> std::optional<double> {
                       return stream_health(served, now).is_well() ? 1 : 0;
                     });
  metrics.per_stream("daystream_streamer_heard_timestamp_seconds", "gauge",
                     "When the deltastream here last told of itself.",
                     [now](Served& served) -> std::optional<double> {
                       const StreamHealth health = stream_health(served, now);
                       if (!health.has_streamer) return std::nullopt;
                       return static_cast<double>(health.heard_s);
                     });
  metrics.told("daystream_lag_bytes", "WAL that PostgreSQL has and the stream has not.",
               "lag_bytes");
  metrics.told("daystream_lag_seconds", "How long the stream has not had all of it.", "lag_s");
  metrics.told("daystream_retained_wal_bytes", "WAL that PostgreSQL keeps for the stream.",
               "retained_wal_bytes");
  metrics.told("daystream_until_lost_bytes", "WAL until PostgreSQL gives the slot up.",
               "until_lost_bytes");
  metrics.told("daystream_until_lost_seconds", "The same at the present rate.", "until_lost_s");
  metrics.told("daystream_disk_free_bytes", "Room left where the stream is written.",
               "disk_free_bytes");
  metrics.told("daystream_disk_left_seconds", "The same at the present rate.", "disk_left_s");
}

void add_followers(Metrics& metrics) {
  metrics.per_stream("daystream_durable_bytes_total", "counter",
                     "Bytes that became durable since this process began.", [](Served& served) {
                       return std::optional(static_cast<double>(served.stream->grown_bytes()));
                     });
  metrics.per_stream(
      "daystream_sent_bytes_total", "counter", "Bytes queued for followers.",
      [](Served& served) { return std::optional(static_cast<double>(served.all_sent_bytes())); });
  metrics.family("daystream_followers", "gauge", "Followers by what they do.");
  for (auto& [stream, served] : metrics.streams()) {
    for (const std::string state : {"live", "sending", "stuck"}) {
      const auto& followers = served.get().followers;
      const auto count = std::count_if(followers.begin(), followers.end(), [&](const auto& one) {
        return !one->ended() && one->state() == state;
      });
      metrics.line(fmt::format("daystream_followers{{stream=\"{}\",state=\"{}\"}} {}", stream,
                               state, count));
    }
  }
  metrics.per_stream("daystream_backlog_bytes", "gauge",
                     "Bytes that the slowest follower is behind.",
                     [](Served& served) -> std::optional<double> {
                       std::uint64_t most = 0;
                       for (const auto& follower : served.followers) {
                         if (!follower->ended()) most = std::max(most, follower->backlog_bytes());
                       }
                       return static_cast<double>(most);
                     });
  metrics.per_stream("daystream_commit_lag_seconds", "gauge",
                     "From the last commit on the server to durable here, of the last hour.",
                     [](Served& served) -> std::optional<double> {
                       const auto& steps = served.history.steps();
                       const auto last = std::find_if(steps.rbegin(), steps.rend(),
                                                      [](const auto& step) { return step.lag_ms; });
                       if (last == steps.rend()) return std::nullopt;
                       return static_cast<double>(*last->lag_ms) / 1000;
                     });
}

void add_copies(Metrics& metrics, std::int64_t now) {
  metrics.per_stream("daystream_copies", "gauge", "Mirrors and relays heard within a day.",
                     [](Served& served) {
                       return std::optional(static_cast<double>(served.copies.all().size()));
                     });
  metrics.per_copy("daystream_copy_up", "1 while the mirror or relay tells of itself.",
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

}  // namespace

std::string metrics_text(const ServerFacts& facts, ServedStreams& streams, const Grant& grant) {
  const std::int64_t now = std::time(nullptr);
  Metrics metrics(streams, grant, now);
  add_durable(metrics);
  if (grant.is_limited()) return metrics.take();
  add_server(metrics, facts);
  add_streamer(metrics, now);
  add_followers(metrics);
  add_copies(metrics, now);
  return metrics.take();
}

}  // namespace daystream::serve
