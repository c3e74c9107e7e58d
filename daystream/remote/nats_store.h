// What is known of a daystream on JetStream, and a few MiB of it: the bytes of a NatsDir.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daystream/stream.h"
#include "program/retries.h"
#include "remote/nats_fallback.h"
#include "remote/nats_held.h"
#include "remote/nats_link.h"
#include "remote/nats_tail.h"
#include "remote/nats_view.h"

namespace daystream::remote {

// Whether messages are read one after the other.
class ReadingOrder {
 public:
  void read(const NatsRange& range);
  // The last few followed each other, up to there.
  bool comes_to(const Spot& place) const noexcept {
    return in_order_ >= kEnough && read_last_ == place;
  }

 private:
  static constexpr int kEnough = 3;
  Spot read_last_{0, 0};  // where the message ends that was read last
  int in_order_ = 0;
};

// Threads: any; wait() and release() those of one Reader.
// Errors:  as NatsDir says.
class NatsStore {
 public:
  // `kinds`: what opens the fallback.
  NatsStore(const NatsAddress& address, const StreamKinds& kinds);

  std::string manifest();
  // Up to where it can be read.
  NatsFallback::End end();
  std::vector<std::int64_t> days();
  bool has(std::int64_t day);
  // Throws ConnectionLost where the fallback is away, so that nobody knows which days it has.
  void require_fallback();
  std::uint64_t size_of(std::int64_t day);
  std::size_t read(std::int64_t day, std::span<char> into, std::uint64_t offset);
  // As those of NatsDir.
  bool wait(std::chrono::milliseconds timeout, int wake_fd);
  void take_news();
  void release(std::int64_t day, std::uint64_t offset);

  std::string path_of(std::int64_t day) const;

 private:
  // ---- looking at the stream ----
  void know();
  void look();
  NatsTail tail_there();
  void patiently(const std::function<void()>& work);
  NatsLink& link();
  void lose_link();

  // ---- following ----
  void start_feed(std::uint64_t sequence, const Spot& next);
  bool see(NatsMessage message);
  bool drain();
  bool has_come(const Spot& before, int wake_fd, std::chrono::steady_clock::time_point end);

  // ---- reading ----
  std::uint64_t size_by_next_day(std::int64_t day);
  std::uint64_t size_by_last_message(std::int64_t day, std::string& why);
  const HeldMessage& held(const Spot& place);
  bool from_feed(const Spot& place);
  bool from_stream(const Spot& place, std::string& why);
  std::uint64_t look_for_last(std::int64_t day, std::uint64_t offset);
  HeldMessage* from_fallback(const Spot& place, const std::string& why);
  [[noreturn]] void lost(const Spot& place, const std::string& why, const std::string& hint);
  std::optional<NatsMessage> ask(std::uint64_t sequence, std::int64_t day);
  std::optional<NatsRange> range_of(const NatsMessage& message, std::string& why) const;
  std::string subject_of(std::int64_t day) const { return view_.prefix() + day_token(day); }

  const NatsAddress address_;
  const std::string name_;
  std::optional<NatsFallback> fallback_;

  std::mutex mutex_;  // of what follows
  NatsView view_;
  std::unique_ptr<NatsLink> link_;
  std::unique_ptr<NatsFeed> feed_;
  Spot feed_next_{0, 0};  // what comes from it next, if nothing is missing
  HeldMessages held_;
  ReadingOrder order_;
  program::Retries retries_;  // of wait()
  std::chrono::steady_clock::time_point look_at_{};
};

}  // namespace daystream::remote
