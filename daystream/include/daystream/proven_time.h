// What a delivery of a Reader proves about time.
#pragma once

#include <cstdint>

#include "daystream/transaction.h"

namespace daystream {

// Up to when nothing of ours is missing once `delivery` is taken up, in microseconds since 1970: a
// commit's time by PostgreSQL's clock, a mark's second by deltastream's. 0: it does not tell. A
// connection's first mark, which says what the stream holds, and a day's first, which has `_prev`,
// only say how far the stream has come: after an outage that may be hours behind.
std::int64_t proven_time_us(const Transaction& delivery) noexcept;

}  // namespace daystream
