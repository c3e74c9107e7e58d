#include "remote/nats_tail.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "program/json.h"

namespace daystream::remote {

namespace {

using nlohmann::json;

// So many messages that are not whole, or not ours, are passed over on the way back.
constexpr std::uint64_t kMostPassed = 128;

void read_subjects(NatsTail& tail, const json& state) {
  const auto subjects = state.find("subjects");
  if (subjects == state.end() || !subjects->is_object()) return;
  for (const auto& [subject, count] : subjects->items()) {
    const std::string prefix = subject.substr(0, subject.rfind('.') + 1);
    const auto day = day_of_subject(subject);
    if (day) tail.days.push_back(*day);
    if (day || subject == prefix + kManifestToken) tail.prefix = prefix;
  }
  std::sort(tail.days.begin(), tail.days.end());
}

// The newest message of a subject of which `is_whole` says so. A server whose files are damaged may
// not find it by its subject.
template <typename IsWhole>
void find_newest(NatsLink& link, const NatsTail& tail, const std::string& subject,
                 const IsWhole& is_whole) {
  auto message = link.last_of(subject);
  std::uint64_t at = message ? message->sequence : tail.last_sequence;
  for (std::uint64_t back = 0; back < kMostPassed && at > 0; ++back, --at) {
    if (back > 0 || !message) message = link.message(at);
    if (message && message->subject == subject && is_whole(*message)) return;
  }
}

void find_range(NatsLink& link, NatsTail& tail) {
  for (auto day = tail.days.rbegin(); day != tail.days.rend() && !tail.range; ++day) {
    find_newest(link, tail, tail.prefix + day_token(*day), [&tail](const NatsMessage& message) {
      std::string why;
      tail.range = read_range(message, why);
      if (tail.range) tail.range_sequence = message.sequence;
      return tail.range.has_value();
    });
  }
}

void find_manifest(NatsLink& link, NatsTail& tail) {
  find_newest(link, tail, tail.prefix + kManifestToken, [&tail](const NatsMessage& message) {
    tail.manifest = read_manifest(message);
    if (tail.manifest) tail.manifest_sequence = message.sequence;
    return tail.manifest.has_value();
  });
}

// Whether everything that was stored behind the newest whole range is there, and none of it another
// range. A publisher deletes nothing there.
void find_lost(NatsLink& link, NatsTail& tail) {
  if (!tail.range && !(tail.manifest && tail.manifest->first_day)) return;
  for (std::uint64_t at = tail.last_sequence; at > tail.range_sequence; --at) {
    if (tail.last_sequence - at >= kMostPassed) return;
    const auto message = link.message(at);
    std::string why = fmt::format("message {} is not there", at);
    if (message && (!is_range(*message) || read_range(*message, why))) continue;
    tail.lost = why;
    tail.lost_sequence = at;
    return;
  }
}

}  // namespace

bool NatsTail::has_manifest_of_range() const {
  if (!manifest) return false;
  return !range || manifest_sequence > range_sequence || manifest->sum() == range->manifest_sum;
}

std::optional<json> nats_info(NatsLink& link, const std::string& stream) {
  return link.api("STREAM.INFO." + stream, {{"subjects_filter", ">"}});
}

NatsTail nats_tail(NatsLink& link, const json& info) {
  NatsTail tail;
  const json& state = info.at("state");
  tail.created = program::text_of(info, "created");
  tail.last_sequence = state.value("last_seq", std::uint64_t{0});
  read_subjects(tail, state);
  if (tail.prefix.empty()) return tail;
  // The range before the manifest: what holds for it is there then.
  find_range(link, tail);
  find_manifest(link, tail);
  find_lost(link, tail);
  return tail;
}

}  // namespace daystream::remote
