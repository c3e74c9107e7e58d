#include "remote/nats_view.h"

#include <fmt/format.h>

#include <algorithm>

#include "crc32c.h"
#include "daystream/error.h"
#include "manifest_file.h"

namespace daystream::remote {

bool NatsView::is_of_another(const NatsTail& tail) const {
  return is_known_ && (tail.created != created_ || tail.last_sequence < last_sequence_);
}

void NatsView::take(const NatsTail& tail) {
  if (is_of_another(tail)) forget();
  created_ = tail.created;
  prefix_ = tail.prefix;
  take_manifest_of(tail);
  take_days_of(tail);
  take_end_of(tail);
  saw(tail.last_sequence);
  is_known_ = true;
}

void NatsView::forget() {
  days_.clear();
  sizes_.clear();
  last_sequence_ = 0;
  manifest_sequence_ = 0;
  end_ = {};
}

void NatsView::saw(std::uint64_t sequence) {
  last_sequence_ = std::max(last_sequence_, sequence);
}

// An older one would say of tables that they are in the stream, or are not, where that has changed.
void NatsView::take_manifest_of(const NatsTail& tail) {
  if (tail.has_manifest_of_range())
    return set_manifest(tail.manifest->text, tail.manifest_sequence);
  const std::string problem = "the manifest that holds for its end is not there, or damaged";
  if (fallback_ == nullptr) throw Corruption(name_, 0, problem, NatsFallback::kHint);
  fallback_->stands_in_for(fmt::format("{}: {}", name_, problem));
  const NatsManifest theirs{"", fallback_->manifest(), {}};
  if (theirs.text.empty() || (tail.range && theirs.sum() != tail.range->manifest_sum)) {
    throw Corruption(name_, 0,
                     fmt::format("{}, and {} has another one", problem, fallback_->name()),
                     NatsFallback::kHintToCopy);
  }
  set_manifest(theirs.text, tail.range_sequence);
}

void NatsView::set_manifest(const std::string& text, std::uint64_t sequence) {
  const std::string id = stream_id_of(parse_manifest(text, name_, name_));
  if (!id_.empty() && id != id_) {
    throw WrongSource(fmt::format("{} was made again for another daystream", name_),
                      "give each daystream a stream of its own");
  }
  id_ = id;
  manifest_ = text;
  manifest_sum_ = extend_crc(0, text);
  manifest_sequence_ = sequence;
}

void NatsView::take_days_of(const NatsTail& tail) {
  for (const std::int64_t day : tail.days) expect(day);
  if (!tail.manifest || !tail.manifest->first_day) return;
  // One that was not deleted by the publisher is to be there: who needs it finds that it is lost.
  days_.erase(days_.begin(), days_.lower_bound(*tail.manifest->first_day));
  expect(*tail.manifest->first_day);
}

// What can no longer be read at the end was read before, or the fallback has it, or it is damage.
void NatsView::take_end_of(const NatsTail& tail) {
  if (tail.range && tail.range->stream_id != id_) {
    throw WrongSource(
        fmt::format("{} has messages of another daystream ({}) than its manifest says", name_,
                    tail.range->stream_id),
        "give each daystream a stream of its own");
  }
  if (tail.range) {
    const NatsRange& range = *tail.range;
    note(range, tail.range_sequence);
    if (Spot{range.day, range.end} >= end_.spot())
      end_ = {range.durable, true, range.day, range.end};
  }
  if (tail.lost.empty() || tail.lost_sequence <= last_sequence_) return;
  const auto further = fallback_ != nullptr ? fallback_->end() : std::nullopt;
  if (!further || further->spot() <= end_.spot()) {
    throw Corruption(name_, 0, fmt::format("what was published last: {}", tail.lost),
                     NatsFallback::kHint);
  }
  fallback_->stands_in_for(fmt::format("{}: {}", name_, tail.lost));
  end_ = *further;
  expect(end_.day);
}

bool NatsView::take_manifest(const NatsMessage& message) {
  if (message.sequence <= manifest_sequence_) return true;
  const auto manifest = read_manifest(message);
  if (manifest) set_manifest(manifest->text, message.sequence);
  return manifest.has_value();
}

bool NatsView::take_range(const NatsRange& range, std::uint64_t sequence) {
  const bool is_news = Spot{range.day, range.end} > end_.spot();
  if (is_news && range.manifest_sum != manifest_sum_) return false;
  if (range.before) note_size(range.before->day, range.before->size_bytes);
  note(range, sequence);
  if (is_news) end_ = {range.durable, true, range.day, range.end};
  return true;
}

void NatsView::note(const NatsRange& range, std::uint64_t sequence) {
  days_[range.day].note(range.begin, {sequence, range.end});
}

std::vector<std::int64_t> NatsView::days() const {
  std::vector<std::int64_t> days;
  for (const auto& [day, places] : days_) days.push_back(day);
  return days;
}

std::optional<std::int64_t> NatsView::day_after(std::int64_t day) const {
  const auto next = days_.upper_bound(day);
  return next == days_.end() ? std::nullopt : std::optional(next->first);
}

std::optional<std::uint64_t> NatsView::size_of(std::int64_t day) const {
  if (day == end_.day) return end_.size;
  const auto known = sizes_.find(day);
  return known == sizes_.end() ? std::nullopt : std::optional(known->second);
}

}  // namespace daystream::remote
