// How a consumer group is: what `daystream group STREAM status` and `daystream serve` show.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daystream/position.h"
#include "store.h"

namespace daystream::sharing {

struct PartStatus {
  std::uint32_t part = 0;
  PartRecord record;
  bool held = false;
  std::optional<std::uint64_t> lag_bytes;  // of the whole stream; nullopt: what follows is gone
  std::optional<Position> oldest;          // the first transaction of the part that is not done
  // Up to here nothing of the part is after `record.position`.
  Position searched = Position::begin();
  bool is_known = false;           // whether `oldest` is: false where it is gone, or far away
  std::uint64_t dead_letters = 0;  // that are there now

  // Since the oldest was committed, by this host's clock; nullopt: that is not known.
  std::optional<std::int64_t> lag_seconds(std::int64_t now) const;
};

struct GroupStatus {
  std::string name;
  Rule rule;
  bool paused = false;
  std::vector<Member> workers;  // that live
  std::vector<PartStatus> parts;
};

// `now` is seconds since 1970.
nlohmann::ordered_json to_json(const GroupStatus& status, std::int64_t now);

}  // namespace daystream::sharing
