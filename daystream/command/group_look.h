// Finds out how consumer groups are: reads the stream from where each part is to its next
// transaction.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "daystream/stream.h"
#include "sharing/file_store.h"
#include "sharing/group_status.h"

namespace daystream::command {

// A look of somebody who looks often: what it found before is not looked for again, and what is far
// away is found by several looks.
struct GroupLook {
  const sharing::GroupStatus* before = nullptr;  // of the same group, perhaps
  std::chrono::steady_clock::time_point until = std::chrono::steady_clock::time_point::max();
};

// Writes nothing.
sharing::GroupStatus group_status(const Stream& stream, sharing::FileStore& store,
                                  const GroupLook& look = {});

// All groups that are kept in `folder`, by name, but those of which `failed` is told why not.
// `before`: what the look before this one found.
std::vector<sharing::GroupStatus> groups_status(
    const Stream& stream, const std::filesystem::path& folder,
    const std::vector<sharing::GroupStatus>& before,
    const std::function<void(const std::string&)>& failed);

}  // namespace daystream::command
