// What is known of a daystream on JetStream, and a few MiB of it: the bytes of a NatsDir.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daystream/durable.h"
#include "daystream/stream.h"
#include "program/repeats.h"
#include "remote/nats_fallback.h"
#include "remote/nats_held.h"
#include "remote/nats_link.h"
#include "remote/nats_tail.h"
#include "remote/pauses.h"

namespace daystream::remote {

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
  // Messages of a day whose places are known: by their first byte.
  struct Known {
    std::uint64_t sequence;
    std::uint64_t end;
  };
  using Places = std::map<std::uint64_t, Known>;
  struct Search;

  // ---- looking at the stream ----
  void know();
  void look();
  NatsTail tail_there();
  void forget();
  void take_manifest(const NatsTail& tail);
  void see_manifest(const std::string& text, std::uint64_t sequence);
  void take_days(const NatsTail& tail);
  void take_end(const NatsTail& tail);
  void patiently(const std::function<void()>& work);
  NatsLink& link();

  // ---- following ----
  void start_feed(std::uint64_t sequence, const Spot& next);
  bool see(NatsMessage message);
  bool see_range(NatsRange range, NatsMessage message);
  bool drain();
  bool has_come(const Spot& before, int wake_fd, std::chrono::steady_clock::time_point end);

  // ---- reading ----
  std::uint64_t size_by_next_day(std::int64_t day);
  std::uint64_t size_by_last_message(std::int64_t day, std::string& why);
  const HeldMessage& held(const Spot& place);
  bool from_feed(const Spot& place);
  bool from_stream(const Spot& place, std::string& why);
  std::optional<bool> take_found(Search& search, NatsMessage message, std::string& why);
  HeldMessage* from_fallback(const Spot& place, const std::string& why);
  [[noreturn]] void lost(const Spot& place, const std::string& why, const std::string& hint);
  std::optional<NatsMessage> ask(std::uint64_t sequence, std::int64_t day);
  void note_order(const NatsRange& range);
  std::string subject_of(std::int64_t day) const { return prefix_ + day_token(day); }

  const NatsAddress address_;
  const std::string name_;
  std::optional<NatsFallback> fallback_;

  std::mutex mutex_;  // of what follows
  std::unique_ptr<NatsLink> link_;
  std::unique_ptr<NatsFeed> feed_;
  Spot feed_next_{0, 0};  // what comes from it next, if nothing is missing
  bool looked_ = false;
  std::string created_;  // of the stream, by the server
  std::string prefix_;   // of its subjects
  std::string manifest_;
  std::uint32_t manifest_sum_ = 0;
  std::uint64_t manifest_sequence_ = 0;
  std::string id_;
  std::uint64_t last_sequence_ = 0;  // of all that was seen
  NatsFallback::End end_;
  std::map<std::int64_t, Places> days_;
  std::map<std::int64_t, std::uint64_t> sizes_;  // of days that are over
  HeldMessages held_;
  Spot read_last_{0, 0};  // where the message ends that was read last
  int in_order_ = 0;      // so many were read one after the other
  program::Repeats repeats_;
  Pauses pauses_;
  std::chrono::steady_clock::time_point look_at_{};
};

}  // namespace daystream::remote
