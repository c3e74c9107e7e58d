// Where the messages of a day stand in a stream of JetStream.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "remote/nats_range.h"

namespace daystream::remote {

// As far as it was seen: a few of a day's messages are enough to find the others by.
//
// Threads: one at a time.
class NatsPlaces {
 public:
  struct Message {
    std::uint64_t sequence = 0;
    std::uint64_t end = 0;  // in the day file
  };

  // `begin`: in the day file.
  void note(std::uint64_t begin, const Message& message);
  bool empty() const noexcept { return by_begin_.empty(); }
  void clear() noexcept { by_begin_.clear(); }
  // Whether one is known that has the byte, or is behind it.
  bool reach(std::uint64_t offset) const noexcept {
    return !by_begin_.empty() && by_begin_.rbegin()->second.end > offset;
  }
  // That which ends there; nullptr: none that is known.
  const Message* ending_at(std::uint64_t offset) const;

 private:
  friend class NatsSearch;
  std::map<std::uint64_t, Message> by_begin_;
};

// Finds the message of a day that has a byte. Between messages whose places are known it asks for
// the one that should be nearest, or in the middle where that does not help.
//
// Ownership: borrows the places, and notes there what it sees.
class NatsSearch {
 public:
  // `last`: the sequence of the day's last message, as far as that is known.
  NatsSearch(NatsPlaces& places, std::uint64_t offset, std::uint64_t last);

  // From which sequence on the day's first message is to be asked for; nullopt: none can have it.
  std::optional<std::uint64_t> next();

  enum class Found { Here, Elsewhere, Nowhere };
  // What that was. `sequence`: the message's own.
  Found saw(const NatsRange& range, std::uint64_t sequence);
  Found saw_damage(std::uint64_t sequence, std::string what);
  Found saw_nothing();  // the day has none from there on

  // What is wrong with those that were seen; empty: nothing.
  const std::string& why() const noexcept { return why_; }

 private:
  Found nowhere();

  NatsPlaces& places_;
  const std::uint64_t wanted_;
  std::uint64_t low_ = 1;  // messages before it end before `low_end_`
  std::uint64_t low_end_ = 0;
  bool is_at_low_ = false;  // the one at low_ has the byte, by what is known
  std::uint64_t high_;      // those from it on begin behind the byte: at `high_begin_`, or later
  std::optional<std::uint64_t> high_begin_;  // nullopt: that is not known
  std::uint64_t asked_ = 0;                  // but for what is asked because that one is damaged
  std::optional<std::uint64_t> behind_damage_;
  int step_ = 0;
  std::string why_;
};

}  // namespace daystream::remote
