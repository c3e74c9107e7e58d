#include "serve/health.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "program/harmless.h"

namespace daystream::serve {

namespace {

using nlohmann::ordered_json;

std::int64_t number(const ordered_json& told, const char* key) {
  const auto found = told.find(key);
  return found != told.end() && found->is_number() ? found->get<std::int64_t>() : 0;
}

// A file that anybody may have written who may write there.
std::string words(const ordered_json& told, const char* key) {
  const auto found = told.find(key);
  if (found == told.end() || !found->is_string()) return {};
  return program::harmless_words(found->get_ref<const std::string&>(), 300);
}

void judge_streamer(const ordered_json& told, std::int64_t now, StreamHealth& health) {
  health.heard_s = number(told, "updated_s");
  const std::int64_t silent_s = now - health.heard_s;
  const std::string state = words(told, "state");
  const std::string error = words(told, "last_error");
  if (state == "stopped") {
    health.trouble = "deltastream is stopped";
  } else if (silent_s > kStreamerSilentS) {
    health.trouble = fmt::format("deltastream has been silent for {} s", silent_s);
  } else if (state != "streaming") {
    health.trouble = error.empty() ? "deltastream waits" : "deltastream waits: " + error;
  }
}

}  // namespace

StreamHealth stream_health(const StreamSample& sample, std::optional<std::int64_t> durable_s,
                           std::int64_t now) {
  StreamHealth health;
  if (sample.streamer) {
    health.has_streamer = true;
    judge_streamer(*sample.streamer, now, health);
    if (now - health.heard_s <= kStreamerSilentS) health.fresh = sample.streamer;
    return health;
  }
  health.heard_s = durable_s.value_or(0);
  if (!durable_s) {
    health.trouble = "nothing was ever written here";
  } else if (now - *durable_s > kStreamSilentS) {
    health.trouble = fmt::format("nothing has come for {} s", now - *durable_s);
  }
  return health;
}

StreamHealth stream_health(const Served& served, std::int64_t now) {
  const auto& durable = served.stream->durable();
  return stream_health(served.stream->latest(),
                       durable ? std::optional(durable->position.c) : std::nullopt, now);
}

std::string copy_trouble(const Copy& copy, std::int64_t now) {
  const std::int64_t silent_s = now - copy.told;
  return silent_s > kCopySilentS ? fmt::format("silent for {} s", silent_s) : std::string();
}

std::int64_t copy_lag_ms(const Copy& copy, const std::optional<Durable>& durable,
                         std::int64_t now) {
  if (durable && copy.position >= durable->position) return 0;
  const std::int64_t silent_ms = std::max<std::int64_t>(0, now - copy.told) * 1000;
  return silent_ms > kCopySilentS * 1000 ? copy.lag_ms + silent_ms : copy.lag_ms;
}

}  // namespace daystream::serve
