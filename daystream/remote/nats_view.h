// What is known of a daystream on JetStream: its manifest, its days, and up to where it is there.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "remote/nats_fallback.h"
#include "remote/nats_places.h"
#include "remote/nats_range.h"
#include "remote/nats_tail.h"

namespace daystream::remote {

// Threads: one at a time.
// Errors:  Corruption where the fallback does not have what is lost either; WrongSource where the
//          stream is another daystream's.
class NatsView {
 public:
  // `name`: the stream's, for messages. `fallback` is borrowed; nullptr: there is none.
  NatsView(std::string name, NatsFallback* fallback)
      : name_(std::move(name)), fallback_(fallback) {}

  // Whether the stream of `tail` was made again, or put back to an older copy: what was read of it
  // says nothing.
  bool is_of_another(const NatsTail& tail) const;
  // What a look at the stream said.
  void take(const NatsTail& tail);
  bool is_known() const noexcept { return is_known_; }

  // Messages of a consumer. Each returns false where there must be more that was not seen.
  bool take_manifest(const NatsMessage& message);
  bool take_range(const NatsRange& range, std::uint64_t sequence);
  void saw(std::uint64_t sequence);
  // A message that was read by itself.
  void note(const NatsRange& range, std::uint64_t sequence);
  // How large a day is that is over.
  void note_size(std::int64_t day, std::uint64_t size) { sizes_[day] = size; }

  const std::string& manifest() const noexcept { return manifest_; }
  const std::string& id() const noexcept { return id_; }          // the daystream's
  const std::string& prefix() const noexcept { return prefix_; }  // of the subjects
  const NatsFallback::End& end() const noexcept { return end_; }
  std::uint64_t last_sequence() const noexcept { return last_sequence_; }  // of all that was seen

  std::vector<std::int64_t> days() const;  // oldest first
  bool has(std::int64_t day) const { return days_.contains(day); }
  // It is to be there, though no message of it was seen.
  void expect(std::int64_t day) { days_.try_emplace(day); }
  std::optional<std::int64_t> day_after(std::int64_t day) const;
  NatsPlaces& places(std::int64_t day) { return days_[day]; }
  // nullopt: it is not known.
  std::optional<std::uint64_t> size_of(std::int64_t day) const;

 private:
  void forget();
  void take_manifest_of(const NatsTail& tail);
  void set_manifest(const std::string& text, std::uint64_t sequence);
  void take_days_of(const NatsTail& tail);
  void take_end_of(const NatsTail& tail);

  const std::string name_;
  NatsFallback* const fallback_;
  bool is_known_ = false;
  std::string created_;  // of the stream, by the server
  std::string prefix_;
  std::string manifest_;
  std::uint32_t manifest_sum_ = 0;
  std::uint64_t manifest_sequence_ = 0;
  std::string id_;
  std::uint64_t last_sequence_ = 0;
  NatsFallback::End end_;
  std::map<std::int64_t, NatsPlaces> days_;
  std::map<std::int64_t, std::uint64_t> sizes_;  // of days that are over
};

}  // namespace daystream::remote
