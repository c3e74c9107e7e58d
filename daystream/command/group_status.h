// How a consumer group is: what `daystream group STREAM status` shows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daystream/stream.h"
#include "sharing/file_store.h"
#include "sharing/store.h"

namespace daystream::command {

struct PartStatus {
  std::uint32_t part = 0;
  sharing::PartRecord record;
  bool held = false;
  std::optional<std::uint64_t> lag_bytes;  // of the whole stream; nullopt: what follows is gone
  std::optional<Position> oldest;          // the first transaction of the part that is not done
  std::int64_t lag_seconds = 0;            // since that was committed, by this host's clock
  std::uint64_t dead_letters = 0;          // that are there now
};

struct GroupStatus {
  std::string name;
  sharing::Rule rule;
  bool paused = false;
  std::vector<sharing::Member> workers;  // that live
  std::vector<PartStatus> parts;
};

// Reads the stream from where each part is to its next transaction.
GroupStatus group_status(const Stream& stream, sharing::FileStore& store);

std::string json_of(const GroupStatus& status);
std::string text_of(const GroupStatus& status);

}  // namespace daystream::command
