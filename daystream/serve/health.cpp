#include "serve/health.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "calendar.h"
#include "json_text.h"

namespace daystream::serve {

StreamHealth stream_health(const StreamSample& sample, std::optional<std::int64_t> durable_s,
                           std::int64_t now) {
  if (sample.streamer) return program::streamer_health(sample.streamer, now);
  StreamHealth health;
  health.heard_s = durable_s.value_or(0);
  if (!durable_s) {
    health.trouble = "nothing was ever written here";
    health.hint = "start the deltastream or the \"daystream pull\" that writes here";
  } else if (now - *durable_s > kStreamSilentS) {
    health.trouble = fmt::format("nothing has come for {} s", now - *durable_s);
    health.hint = "look at the \"daystream pull\" that writes here, and at the server it asks";
  }
  health.is_written = health.is_well();
  if (health.is_written && !sample.disk_trouble.empty()) {
    health.trouble = sample.disk_trouble;
    health.hint = "make room there: what comes now waits at the server that it comes from";
  }
  return health;
}

StreamHealth stream_health(const Served& served, std::int64_t now) {
  const auto& durable = served.stream->durable();
  return stream_health(served.stream->latest(),
                       durable ? std::optional(durable->position.c) : std::nullopt, now);
}

std::string health_json(const StreamHealth& health, bool says_why) {
  using nlohmann::ordered_json;
  ordered_json out = {{"healthy", health.is_written}};
  if (!says_why) return json_line(out);
  out["trouble"] = ordered_json::array();
  if (!health.is_written) out["trouble"].push_back(health.trouble);
  const std::int64_t since = health.since_s != 0 ? health.since_s : health.heard_s;
  const bool is_known = !health.is_written && since != 0;
  out["since"] = is_known ? ordered_json(utc_text(at_second(since))) : ordered_json();
  return json_line(out);
}

program::StreamFacts stream_facts(const std::string& name, const Served& served, std::int64_t now) {
  program::StreamFacts facts{name, std::nullopt, {}, stream_health(served, now)};
  if (const auto& durable = served.stream->durable()) {
    facts.durable = durable->position;
    facts.lsn = durable->lsn;
  }
  return facts;
}

std::string copy_trouble(const Copy& copy, std::int64_t now) {
  const std::int64_t silent_s = now - copy.told;
  return silent_s > kCopySilentS ? fmt::format("silent for {} s", silent_s) : copy.trouble;
}

std::int64_t copy_lag_ms(const Copy& copy, const std::optional<Durable>& durable,
                         std::int64_t now) {
  if (durable && copy.position >= durable->position) return 0;
  // It says how late its last commit was, however long ago that is.
  std::int64_t since = now;
  if (now - copy.told > kCopySilentS) since = copy.told;
  if (copy.still_since != 0) since = std::min(since, copy.still_since);
  return copy.lag_ms + (now - since) * 1000;
}

}  // namespace daystream::serve
