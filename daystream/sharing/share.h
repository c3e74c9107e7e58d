// Which worker has which parts: the rule by itself, without clock or disk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store.h"

namespace daystream::sharing {

struct Share {
  std::vector<std::uint32_t> take;  // free parts to be tried
  std::vector<std::uint32_t> give;  // of one's own, to be finished and let go
};

// What the member `me` is to do. Parts are spread evenly over the members that live: each is due
// into/members of them, rounded down, and those that have most already are due one more while some
// are left over, so that a newcomer moves as few parts as possible. Workers that see the same agree
// on it; where they do not, Store::take() lets one of them have the part.
Share share_of(const std::string& me, const std::vector<Member>& members,
               const std::vector<PartRecord>& parts, BootTime now);

}  // namespace daystream::sharing
