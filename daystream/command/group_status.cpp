#include "group_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "daystream/error.h"
#include "daystream/reader.h"
#include "json_text.h"
#include "part_sieve.h"
#include "program/figures.h"
#include "sharing/dead_letters.h"

namespace daystream::command {

namespace {

using nlohmann::ordered_json;

void measure_lag(PartStatus& status, const Stream& stream, const sharing::Rule& rule) {
  try {
    Reader reader(stream, {status.record.position, status.record.lsn});
    status.lag_bytes = reader.backlog_bytes();
    PartSieve sieve({stream, rule, status.part, Format::Tsv}, status.record.position);
    while (Transaction* transaction = reader.next()) {
      if (transaction->kind() != Transaction::Kind::Transaction) continue;
      if (!sieve.wants(*transaction)) continue;
      status.oldest = transaction->position();
      status.lag_seconds =
          std::max<std::int64_t>(0, std::time(nullptr) - transaction->position().c);
      return;
    }
  } catch (const PositionGone& e) {
    status.lag_bytes.reset();
    status.record.problem = e.what();
  }
}

std::vector<std::uint32_t> parts_of(const GroupStatus& status, const std::string& worker) {
  std::vector<std::uint32_t> parts;
  for (const PartStatus& part : status.parts) {
    if (part.held && part.record.holder == worker) parts.push_back(part.part);
  }
  return parts;
}

std::string position_text(Position position) {
  return position == Position::begin() ? "" : position.text();
}

ordered_json json_of(const PartStatus& part) {
  const sharing::PartRecord& record = part.record;
  ordered_json value{{"part", part.part},
                     {"worker", nullptr},
                     {"epoch", record.epoch},
                     {"position", nullptr},
                     {"lag_bytes", nullptr},
                     {"lag_seconds", part.lag_seconds},
                     {"oldest_unacknowledged", nullptr},
                     {"failures", record.failures},
                     {"problem", nullptr},
                     {"redeliveries", record.redeliveries},
                     {"expired", record.expired},
                     {"dead_letters", part.dead_letters}};
  if (part.held) value["worker"] = record.holder;
  if (record.position != Position::begin()) value["position"] = record.position.text();
  if (part.lag_bytes) value["lag_bytes"] = *part.lag_bytes;
  if (part.oldest) value["oldest_unacknowledged"] = part.oldest->text();
  if (!record.problem.empty()) value["problem"] = record.problem;
  return value;
}

}  // namespace

GroupStatus group_status(const Stream& stream, sharing::FileStore& store) {
  GroupStatus status;
  status.name = store.folder().filename().string();
  status.rule = store.rule();
  status.paused = store.is_paused();
  const sharing::BootTime now = sharing::boot_time();
  for (sharing::Member& member : store.members()) {
    if (member.lives(now)) status.workers.push_back(std::move(member));
  }
  const auto letters = sharing::DeadLetters(store.folder()).list();
  for (std::uint32_t part = 0; part < status.rule.into; ++part) {
    PartStatus one;
    one.part = part;
    one.record = store.part(part);
    one.held = one.record.is_held(now);
    const auto dead =
        std::count_if(letters.begin(), letters.end(),
                      [&](const sharing::DeadLetter& letter) { return letter.part == part; });
    one.dead_letters = static_cast<std::uint64_t>(dead);
    measure_lag(one, stream, status.rule);
    status.parts.push_back(std::move(one));
  }
  return status;
}

std::string json_of(const GroupStatus& status) {
  ordered_json workers = ordered_json::array();
  for (const sharing::Member& member : status.workers) {
    workers.push_back({{"worker", member.id},
                       {"pid", member.pid},
                       {"since", member.since},
                       {"parts", parts_of(status, member.id)}});
  }
  ordered_json parts = ordered_json::array();
  for (const PartStatus& part : status.parts) parts.push_back(json_of(part));
  return json_page(ordered_json{{"group", status.name},
                                {"by", by_name(status.rule.by)},
                                {"into", status.rule.into},
                                {"tables", status.rule.tables},
                                {"paused", status.paused},
                                {"workers", std::move(workers)},
                                {"parts", std::move(parts)}});
}

std::string text_of(const GroupStatus& status) {
  std::string text = fmt::format(
      "group {}: by {} into {}, {}{}\n", status.name, by_name(status.rule.by),
      program::counted(status.rule.into, "part"), program::counted(status.workers.size(), "worker"),
      status.paused ? ", paused" : "");
  text += fmt::format("{:>5} {:<22} {:>6} {:<22} {:>12} {:>8} {:>6} {:>5}\n", "part", "worker",
                      "epoch", "done up to", "behind, B", "behind,s", "again", "dead");
  for (const PartStatus& part : status.parts) {
    const sharing::PartRecord& record = part.record;
    text +=
        fmt::format("{:>5} {:<22} {:>6} {:<22} {:>12} {:>8} {:>6} {:>5}\n", part.part,
                    part.held ? record.holder : "-", record.epoch, position_text(record.position),
                    part.lag_bytes ? std::to_string(*part.lag_bytes) : "gone", part.lag_seconds,
                    record.redeliveries, part.dead_letters);
    if (!record.problem.empty()) text += fmt::format("      {}\n", record.problem);
  }
  return text;
}

}  // namespace daystream::command
