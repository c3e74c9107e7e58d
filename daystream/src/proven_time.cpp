#include "daystream/proven_time.h"

#include <fmt/format.h>

namespace daystream {

std::int64_t proven_time_us(const Transaction& delivery) noexcept {
  return delivery.end().time_us;
}

std::pair<std::string, std::string> proven_time_field(std::int64_t time_us) {
  return {"_time", fmt::format("{}.{:06}", time_us / 1'000'000, time_us % 1'000'000)};
}

}  // namespace daystream
