#include "remote/nats_held.h"

#include <string_view>

#include "crc32c.h"

namespace daystream::remote {

namespace {

constexpr std::size_t kMostRemembered = 256 * 1024;  // messages

}  // namespace

HeldMessage* HeldMessages::find(const Spot& place) {
  auto after = held_.upper_bound(place);
  if (after == held_.begin()) return nullptr;
  --after;
  return place < after->second.end() ? &after->second : nullptr;
}

void HeldMessages::hold(HeldMessage message) {
  while (!order_.empty() && bytes_ + message.bytes.size() > kMostBytes) {
    drop(order_.front());
    order_.pop_front();
  }
  const Spot begin = message.begin();
  drop(begin);
  bytes_ += message.bytes.size();
  order_.push_back(begin);
  held_[begin] = std::move(message);
}

void HeldMessages::drop(const Spot& begin) {
  const auto found = held_.find(begin);
  if (found == held_.end()) return;
  bytes_ -= found->second.bytes.size();
  held_.erase(found);
}

void HeldMessages::clear() {
  held_.clear();
  order_.clear();
  bytes_ = 0;
}

bool HeldMessages::is_as_before(const HeldMessage& message) {
  const auto [known, is_new] =
      read_.try_emplace(message.begin(), message.range.end, extend_crc(0, message.bytes));
  if (!is_new) {
    // A stream that was made again may be cut elsewhere.
    const auto& [end, sum] = known->second;
    return end <= message.range.end &&
           extend_crc(0, std::string_view(message.bytes).substr(0, end - message.range.begin)) ==
               sum;
  }
  if (read_.size() > kMostRemembered) read_.erase(read_.begin());
  return true;
}

void HeldMessages::forget_read(const Spot& place) {
  // What has the byte stays.
  while (!read_.empty()) {
    const auto& [begin, what] = *read_.begin();
    if (Spot{begin.first, what.first} > place) break;
    read_.erase(read_.begin());
  }
}

}  // namespace daystream::remote
