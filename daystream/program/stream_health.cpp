#include "program/stream_health.h"

#include <fmt/format.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "calendar.h"
#include "program/disk_space.h"
#include "program/harmless.h"
#include "program/hint.h"
#include "program/json.h"
#include "program/metrics_text.h"
#include "src/dir.h"

namespace daystream::program {

namespace {

using nlohmann::ordered_json;
using Value = std::function<std::optional<double>(const StreamFacts&)>;

std::int64_t told_time(const ordered_json& told, const char* key) {
  const auto time = parse_utc_text(text_of(told, key));
  return time ? time->time_since_epoch().count() : 0;
}

// A file that anybody may have written who may write there.
std::string told_words(const ordered_json& told, const char* key) {
  return harmless_words(text_of(told, key), 300);
}

void judge_disk(const ordered_json& told, StreamHealth& health) {
  const std::int64_t since_s = told_time(told, "disk_full_since");
  if (since_s == 0) return;
  const auto left = told.value("disk_free_bytes", ordered_json());
  health.trouble = no_room_text(left.is_number() ? left.get<std::uint64_t>() : 0);
  health.hint =
      "make room there: what comes now waits in PostgreSQL, until it gives up the slot for it";
  health.since_s = since_s;
}

// The other tables come all the same.
void judge_publication(const ordered_json& told, StreamHealth& health) {
  health.trouble = told_words(told, "left_out");
  health.hint = told_words(told, "left_out_hint");
}

void judge(const ordered_json& told, std::int64_t now, StreamHealth& health) {
  const std::int64_t silent_s = now - health.heard_s;
  const std::string state = told_words(told, "state");
  const std::string error = told_words(told, "last_error");
  const std::string told_hint = told_words(told, "last_hint");
  if (state == "stopped") {
    health.trouble = "deltastream is stopped";
    health.needs_person = told.value("needs_person", ordered_json()) == true;
    if (health.needs_person) health.trouble += ": " + error;
    health.hint = health.needs_person && !told_hint.empty() ? told_hint
                                                            : "start it; its log says why it ended";
  } else if (silent_s > kStreamerSilentS) {
    health.trouble = fmt::format("deltastream has been silent for {} s", silent_s);
    health.hint = "it hangs or was killed: look at its log and its disk, and start it again";
    health.since_s = health.heard_s;
  } else if (state != "streaming") {
    health.trouble = error.empty() ? "deltastream waits" : "deltastream waits: " + error;
    health.hint = "it tries again by itself; " +
                  (told_hint.empty() ? "\"deltastream --check\" says what is missing" : told_hint);
  }
  health.is_written = health.is_well();
  if (health.is_written) judge_disk(told, health);
  if (health.is_well()) judge_publication(told, health);
}

void per_stream(MetricsText& out, const std::vector<StreamFacts>& streams, const char* name,
                const char* help, const Value& value) {
  out.family(name, "gauge", help);
  for (const StreamFacts& stream : streams) {
    if (const auto known = value(stream)) out.sample({{"stream", stream.name}}, *known);
  }
}

// A number that a deltastream reported just now.
Value told_just_now(const char* key) {
  return [key](const StreamFacts& stream) -> std::optional<double> {
    if (!stream.health.fresh) return std::nullopt;
    const auto found = stream.health.fresh->find(key);
    if (found == stream.health.fresh->end() || !found->is_number()) return std::nullopt;
    return found->get<double>();
  };
}

}  // namespace

// A file that anybody may have written who may write there: no more of it than makes sense.
std::shared_ptr<const ordered_json> read_streamer_status(Dir& dir) {
  constexpr std::uint64_t kMostBytes = 1024 * 1024;
  const auto file = dir.open("status.json");
  if (!file || file->size() > kMostBytes) return nullptr;
  auto told = parse_json(read_whole(*file));
  if (!told.is_object()) return nullptr;
  return std::make_shared<const ordered_json>(std::move(told));
}

std::string StreamHealth::text() const {
  if (is_well()) return {};
  const std::string since =
      since_s == 0 ? "" : fmt::format(" (since {})", utc_text(at_second(since_s)));
  return with_hint(trouble + since, hint);
}

StreamHealth streamer_health(std::shared_ptr<const ordered_json> told, std::int64_t now) {
  StreamHealth health;
  health.has_streamer = true;
  health.heard_s = told_time(*told, "updated_at");
  health.since_s = told_time(*told, "since");
  const auto pid = told->value("pid", ordered_json());
  if (pid.is_number_integer()) health.pid = pid.get<std::int64_t>();
  judge(*told, now, health);
  // One that is stopped wrote its numbers while it ran.
  const bool runs = told_words(*told, "state") != "stopped";
  if (runs && now - health.heard_s <= kStreamerSilentS) health.fresh = std::move(told);
  return health;
}

void add_durable_metrics(MetricsText& out, const std::vector<StreamFacts>& streams) {
  per_stream(out, streams, "daystream_durable_timestamp_seconds",
             "When the last durable line began to arrive.",
             [](const StreamFacts& stream) -> std::optional<double> {
               if (!stream.durable) return std::nullopt;
               return static_cast<double>(stream.durable->c);
             });
  per_stream(out, streams, "daystream_durable_lsn_bytes", "The last durable LSN, as a number.",
             [](const StreamFacts& stream) -> std::optional<double> {
               if (!stream.durable) return std::nullopt;
               return static_cast<double>(stream.lsn.value);
             });
}

void add_streamer_metrics(MetricsText& out, const std::vector<StreamFacts>& streams) {
  per_stream(out, streams, "daystream_up",
             "1 while the stream is written; \"deltastream status\" and /status say what is wrong.",
             [](const StreamFacts& stream) { return stream.health.is_written ? 1.0 : 0.0; });
  per_stream(out, streams, "daystream_streamer_heard_timestamp_seconds",
             "When the deltastream last wrote its status.",
             [](const StreamFacts& stream) -> std::optional<double> {
               if (!stream.health.has_streamer) return std::nullopt;
               return static_cast<double>(stream.health.heard_s);
             });
  struct Told {
    const char* name;
    const char* help;
    const char* key;
  };
  constexpr Told kTold[] = {
      {"daystream_lag_bytes", "WAL that PostgreSQL has and the stream has not.", "lag_bytes"},
      {"daystream_lag_seconds", "How long the stream has not had all of it.", "lag_seconds"},
      {"daystream_retained_wal_bytes", "WAL that PostgreSQL keeps for the stream.",
       "retained_wal_bytes"},
      {"daystream_until_lost_bytes", "WAL until PostgreSQL gives the slot up.", "until_lost_bytes"},
      {"daystream_until_lost_seconds", "The same at the present rate.", "until_lost_seconds"},
      {"daystream_disk_free_bytes", "Room left where the stream is written.", "disk_free_bytes"},
      {"daystream_disk_left_seconds", "The same at the present rate.", "disk_left_seconds"}};
  for (const Told& told : kTold) {
    per_stream(out, streams, told.name, told.help, told_just_now(told.key));
  }
}

}  // namespace daystream::program
