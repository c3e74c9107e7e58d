#include "serve/descriptors.h"

#include <sys/resource.h>

#include <algorithm>

namespace daystream::serve {

namespace {

constexpr std::size_t kReserve = 256;
constexpr std::size_t kMostWanted = 1'000'000;  // where the hard limit is "none"

}  // namespace

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit raised{std::min<rlim_t>(limit.rlim_max, kMostWanted), limit.rlim_max};
    if (raised.rlim_cur > limit.rlim_cur && setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return static_cast<std::size_t>(std::min<rlim_t>(limit.rlim_cur, kMostWanted));
}

std::size_t connections_within(std::size_t descriptors) {
  const std::size_t reserve = std::min(kReserve, descriptors / 2);
  return std::max<std::size_t>(1, (descriptors - reserve) / 2);
}

}  // namespace daystream::serve
