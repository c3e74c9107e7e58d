// What a delivery of a Reader proves about time.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "daystream/transaction.h"

namespace daystream {

// Up to when nothing of ours is missing once `delivery` is taken up, by PostgreSQL's clock, in
// microseconds since 1970: the `_time` of a commit, or of a mark that has one. 0: it does not tell.
// Most marks do not: that the stream has come to an LSN says nothing about when that was written,
// after an outage or behind a large transaction of others it may be hours ago.
std::int64_t proven_time_us(const Transaction& delivery) noexcept;

// The same, told: for MarkFacts::head.
std::pair<std::string, std::string> proven_time_field(std::int64_t time_us);

}  // namespace daystream
