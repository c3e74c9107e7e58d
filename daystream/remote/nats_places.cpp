#include "remote/nats_places.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace daystream::remote {

namespace {
constexpr std::size_t kMostPlaces = 4096;
}  // namespace

void NatsPlaces::note(std::uint64_t begin, const Message& message) {
  by_begin_[begin] = message;
  if (by_begin_.size() > kMostPlaces) by_begin_.erase(std::next(by_begin_.begin()));
}

const NatsPlaces::Message* NatsPlaces::ending_at(std::uint64_t offset) const {
  const auto after = by_begin_.lower_bound(offset);
  if (after == by_begin_.begin()) return nullptr;
  const Message& before = std::prev(after)->second;
  return before.end == offset ? &before : nullptr;
}

NatsSearch::NatsSearch(NatsPlaces& places, std::uint64_t offset, std::uint64_t last)
    : places_(places), wanted_(offset) {
  const auto& known = places_.by_begin_;
  high_ = std::max(last, known.empty() ? 0 : known.rbegin()->second.sequence) + 1;
  const auto after = known.upper_bound(offset);
  if (after != known.end()) {
    high_ = after->second.sequence;
    high_begin_ = after->first;
  }
  if (after == known.begin()) return;
  const auto& [begin, before] = *std::prev(after);
  const bool has_it = offset < before.end;
  low_ = has_it ? before.sequence : before.sequence + 1;
  low_end_ = has_it ? begin : before.end;
  is_at_low_ = has_it;
}

std::optional<std::uint64_t> NatsSearch::next() {
  if (const auto behind = std::exchange(behind_damage_, std::nullopt)) {
    if (*behind < high_) return behind;
    if (saw_nothing() == Found::Nowhere) return std::nullopt;
  }
  if (low_ >= high_) return std::nullopt;
  asked_ = low_;
  if (wanted_ > low_end_ && !std::exchange(is_at_low_, false)) {
    const bool halves = !high_begin_ || step_++ % 3 == 2;
    const double part = halves ? 0.5
                               : static_cast<double>(wanted_ - low_end_) /
                                     static_cast<double>(*high_begin_ - low_end_);
    asked_ += static_cast<std::uint64_t>(part * static_cast<double>(high_ - low_ - 1));
  }
  return asked_;
}

NatsSearch::Found NatsSearch::saw_nothing() {
  if (asked_ == low_) return nowhere();
  high_ = asked_;
  return Found::Elsewhere;
}

NatsSearch::Found NatsSearch::nowhere() {
  if (why_.empty() && high_begin_)
    why_ = fmt::format("no message has this byte, the next begins at byte {}", *high_begin_);
  return Found::Nowhere;
}

// Whether the byte is before it or behind it the next one says.
NatsSearch::Found NatsSearch::saw_damage(std::uint64_t sequence, std::string what) {
  why_ = std::move(what);
  behind_damage_ = sequence + 1;
  return Found::Elsewhere;
}

NatsSearch::Found NatsSearch::saw(const NatsRange& range, std::uint64_t sequence) {
  if (sequence >= high_) return saw_nothing();
  const bool is_past = high_begin_ && range.end > *high_begin_;
  if (range.begin < low_end_ || is_past) {
    why_ = fmt::format("message {} is not in order", sequence);
    return Found::Nowhere;
  }
  places_.note(range.begin, {sequence, range.end});
  if (range.begin <= wanted_ && wanted_ < range.end) return Found::Here;
  if (range.end <= wanted_) {
    low_ = sequence + 1;
    low_end_ = range.end;
    return Found::Elsewhere;
  }
  high_begin_ = range.begin;
  return saw_nothing();
}

}  // namespace daystream::remote
