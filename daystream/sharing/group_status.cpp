#include "group_status.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace daystream::sharing {

namespace {

using nlohmann::ordered_json;

std::vector<std::uint32_t> parts_of(const GroupStatus& status, const std::string& worker) {
  std::vector<std::uint32_t> parts;
  for (const PartStatus& part : status.parts) {
    if (part.held && part.record.holder == worker) parts.push_back(part.part);
  }
  return parts;
}

ordered_json to_json(const PartStatus& part, std::int64_t now) {
  const PartRecord& record = part.record;
  ordered_json value{{"part", part.part},
                     {"worker", nullptr},
                     {"epoch", record.epoch},
                     {"position", nullptr},
                     {"lag_bytes", nullptr},
                     {"lag_seconds", nullptr},
                     {"oldest_unacknowledged", nullptr},
                     {"failures", record.failures},
                     {"problem", nullptr},
                     {"redeliveries", record.redeliveries},
                     {"expired", record.expired},
                     {"dead_letters", part.dead_letters}};
  if (part.held) value["worker"] = record.holder;
  if (record.position != Position::begin()) value["position"] = record.position.text();
  if (part.lag_bytes) value["lag_bytes"] = *part.lag_bytes;
  if (const auto seconds = part.lag_seconds(now)) value["lag_seconds"] = *seconds;
  if (part.oldest) value["oldest_unacknowledged"] = part.oldest->text();
  if (!record.problem.empty()) value["problem"] = record.problem;
  return value;
}

}  // namespace

std::optional<std::int64_t> PartStatus::lag_seconds(std::int64_t now) const {
  if (!is_known) return std::nullopt;
  return oldest ? std::max<std::int64_t>(0, now - oldest->c) : 0;
}

ordered_json to_json(const GroupStatus& status, std::int64_t now) {
  ordered_json workers = ordered_json::array();
  for (const Member& member : status.workers) {
    workers.push_back({{"worker", member.id},
                       {"pid", member.pid},
                       {"since", member.since},
                       {"parts", parts_of(status, member.id)}});
  }
  ordered_json parts = ordered_json::array();
  for (const PartStatus& part : status.parts) parts.push_back(to_json(part, now));
  return {{"group", status.name},     {"by", by_name(status.rule.by)},
          {"into", status.rule.into}, {"tables", status.rule.tables},
          {"paused", status.paused},  {"workers", std::move(workers)},
          {"parts", std::move(parts)}};
}

}  // namespace daystream::sharing
