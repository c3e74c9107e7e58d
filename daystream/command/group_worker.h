// A worker of a consumer group: `daystream consume --group`.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "daystream/stream.h"
#include "format.h"
#include "sharing/store.h"

namespace daystream::command {

struct GroupOptions {
  std::string name;        // empty: no group
  std::string folder;      // where groups are kept; empty: STREAM/.groups
  std::string by;          // empty: as the group was made; a new one by key
  std::uint32_t into = 0;  // 0: as the group was made
  std::uint32_t lease_s = 30;
  std::uint32_t max_deliver = 0;
  std::string expire;
};

// What a worker does with its parts, as of any consumer.
struct WorkerOptions {
  GroupOptions group;
  std::string after;
  std::string tables;
  std::uint64_t window;
  bool batch;
  bool once;
  Format format;
  std::chrono::seconds patience;
  std::vector<std::string> command;
};

// Where the groups of a stream are kept. Throws ConfigError where it has no directory here and
// `folder` is empty.
std::filesystem::path groups_folder(const Stream& stream, const std::string& folder);

// Makes the group where it is not there. Throws ConfigError where it is there, and shared out in
// another way than asked for; WrongSource where it is of another stream.
int work_for_group(const WorkerOptions& options, const Stream& stream);

}  // namespace daystream::command
