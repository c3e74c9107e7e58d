// A daystream with its followers and its copies.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "serve/copies.h"
#include "serve/follower.h"
#include "serve/served_stream.h"
#include "serve/snapshots.h"
#include "sharing/group_status.h"

namespace daystream::serve {

// How a stream went within the last hour, for the page.
class RateSamples {
 public:
  static constexpr std::chrono::seconds kStep{10};
  static constexpr std::size_t kSteps = 360;

  struct Step {
    double bytes_per_second = 0;         // that became durable
    std::optional<std::int64_t> lag_ms;  // of the last commit, from there to durable; none: no one
    std::size_t followers = 0;
  };

  void add(const Step& step) {
    if (steps_.size() == kSteps) steps_.pop_front();
    steps_.push_back(step);
  }
  const std::deque<Step>& steps() const noexcept { return steps_; }  // the oldest first

 private:
  std::deque<Step> steps_;
};

struct Served {
  std::unique_ptr<ServedStream> stream;
  std::string lost;  // what has become of its directory; empty: it is there
  Copies copies;
  bool recording = false;                // of copies.json, on a thread
  bool record_again = false;             // more was reported meanwhile
  std::unique_ptr<Snapshots> snapshots;  // nullptr: none are served
  std::list<std::unique_ptr<Follower>> followers;
  std::list<std::unique_ptr<Follower>> downloads;  // of snapshots
  std::vector<sharing::GroupStatus> groups;        // as of the last sample
  std::uint64_t sent_bytes = 0;                    // to followers that have gone
  RateSamples history;
  std::uint64_t sampled_bytes = 0;  // grown_bytes() at its last step

  // To all followers, also those that have gone.
  std::uint64_t all_sent_bytes() const {
    std::uint64_t total = sent_bytes;
    for (const auto& follower : followers) total += follower->sent_bytes();
    return total;
  }

  // Adds to the history what went on since its last step.
  void take_step() {
    RateSamples::Step step;
    const std::uint64_t bytes = stream->grown_bytes();
    step.bytes_per_second = static_cast<double>(bytes - std::exchange(sampled_bytes, bytes)) /
                            static_cast<double>(RateSamples::kStep.count());
    step.lag_ms = stream->take_lag_ms();
    step.followers = followers.size();
    history.add(step);
  }
};
using ServedStreams = std::map<std::string, Served>;  // by name

}  // namespace daystream::serve
