// Messages that a reader of JetStream holds, and what it remembers of those that it has read.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>

#include "remote/nats_range.h"

namespace daystream::remote {

struct HeldMessage {
  NatsRange range;
  std::string bytes;
  bool is_seen = false;  // compared with what was read there before

  Spot begin() const noexcept { return {range.day, range.begin}; }
  Spot end() const noexcept { return {range.day, range.end}; }
};

// Threads: one at a time.
class HeldMessages {
 public:
  static constexpr std::size_t kMostBytes = 16 * 1024 * 1024;

  // That which has the byte at `place`; nullptr: none.
  HeldMessage* find(const Spot& place);
  // Drops the oldest where there are more bytes than kMostBytes.
  void hold(HeldMessage message);
  void drop(const Spot& begin);
  void clear();

  // Whether these bytes are those that were read there before, if they were, so that reading a
  // place again gives the same ones.
  bool is_as_before(const HeldMessage& message);
  // What lies before `place` will not be read again.
  void forget_read(const Spot& place);

 private:
  std::map<Spot, HeldMessage> held_;  // by its begin
  std::deque<Spot> order_;            // as they came
  std::size_t bytes_ = 0;
  std::map<Spot, std::pair<std::uint64_t, std::uint32_t>> read_;  // end, and sum of the bytes
};

}  // namespace daystream::remote
