// The page that fault_preload.cpp shares with the test. Not for others.
#pragma once

#include <atomic>
#include <cstdint>

namespace support {

struct FaultShared {
  std::atomic<std::uint64_t> matched;
  std::atomic<std::uint64_t> struck;
  std::atomic<std::uint64_t> healed;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace support
