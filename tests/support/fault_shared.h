// The page that fault_preload.cpp shares with the test. Not for others.
#pragma once

#include <atomic>
#include <cstdint>

namespace support {

struct FaultShared {
  std::atomic<std::uint64_t> matched;
  std::atomic<std::uint64_t> struck;
  // Which of the matching calls fails, counted from the first of all; 0: none.
  std::atomic<std::uint64_t> at;
  std::atomic<std::uint64_t> sticky;
  std::atomic<std::uint64_t> short_write;
  std::atomic<std::uint64_t> error;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace support
