// What a delivery of a Reader proves about time.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "daystream/transaction.h"

namespace daystream {

// The time up to which nothing of this stream is missing once `delivery` is taken up, by
// PostgreSQL's clock, in microseconds since 1970: the `_time` of a commit, or of a mark that has
// one. 0: the delivery proves no time. Most marks prove none: that the stream has come to an LSN
// does not say when that was written, which may be hours ago after an outage or behind a large
// transaction of another database.
std::int64_t proven_time_us(const Transaction& delivery) noexcept;

// That time as a field for MarkFacts::leading_fields.
std::pair<std::string, std::string> proven_time_field(std::int64_t time_us);

}  // namespace daystream
