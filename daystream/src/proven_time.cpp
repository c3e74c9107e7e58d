#include "daystream/proven_time.h"

namespace daystream {

std::int64_t proven_time_us(const Transaction& delivery) noexcept {
  const Change& end = delivery.end();
  if (delivery.kind() != Transaction::Kind::Mark) return end.time_us;
  if (!end.columns.empty()) return 0;
  std::string_view key;
  std::string_view value;
  for (FieldCursor fields(end.head); fields.next(key, value);) {
    if (key == "_prev") return 0;
  }
  return delivery.position().c * 1'000'000;
}

}  // namespace daystream
