#include "remote/nats_store.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "calendar.h"
#include "crc32c.h"
#include "day_file.h"
#include "daystream/error.h"
#include "manifest_file.h"
#include "src/waiting.h"

namespace daystream::remote {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// While nothing comes it asks so often whether that is because there is nothing.
constexpr std::chrono::seconds kBetweenNatsLooks{20};
// With a broker that is away, in the middle of a read.
constexpr std::chrono::seconds kNatsPatience{20};
// A replica that lags does not have yet what the leader has, nor a new leader at once what the old
// one had.
constexpr int kTriesAtReplicas = 5;
constexpr milliseconds kBetweenTries{100};

}  // namespace

NatsStore::NatsStore(const NatsAddress& address, const StreamKinds& kinds)
    : address_(address),
      name_(address.name()),
      fallback_(address.fallback.empty()
                    ? std::nullopt
                    : std::optional<NatsFallback>(std::in_place, kinds.open(address.fallback),
                                                  address.who)),
      view_(name_, fallback_ ? &*fallback_ : nullptr) {}

std::string NatsStore::path_of(std::int64_t day) const {
  return fmt::format("{}/{}", name_, day_file_name(day));
}

std::string NatsStore::manifest() {
  const std::lock_guard lock(mutex_);
  know();
  return view_.manifest();
}

NatsFallback::End NatsStore::end() {
  const std::lock_guard lock(mutex_);
  know();
  return view_.end();
}

std::vector<std::int64_t> NatsStore::days() {
  const std::lock_guard lock(mutex_);
  know();
  std::vector<std::int64_t> days = view_.days();
  if (!fallback_) return days;
  try {
    for (const std::int64_t day : fallback_->days()) days.push_back(day);
  } catch (const ConnectionLost& e) {
    fallback_->is_away(e);  // it is not needed yet, perhaps
  }
  std::sort(days.begin(), days.end());
  days.erase(std::unique(days.begin(), days.end()), days.end());
  return days;
}

bool NatsStore::has(std::int64_t day) {
  const std::lock_guard lock(mutex_);
  know();
  if (view_.has(day)) return true;
  if (!fallback_) return false;
  const auto theirs = fallback_->days();
  return std::binary_search(theirs.begin(), theirs.end(), day);
}

void NatsStore::require_fallback() {
  const std::lock_guard lock(mutex_);
  if (fallback_) fallback_->days();
}

// ---- looking at the stream ---------------------------------------------------------------------

void NatsStore::know() {
  if (!view_.is_known()) patiently([this] { look(); });
}

NatsLink& NatsStore::link() {
  if (!link_) link_ = std::make_unique<NatsLink>(address_);
  return *link_;
}

void NatsStore::lose_link() {
  feed_.reset();
  link_.reset();
}

// Does `work`, with another connection where the one that there is breaks.
void NatsStore::patiently(const std::function<void()>& work) {
  program::Pauses pauses;
  const auto give_up = steady_clock::now() + kNatsPatience;
  for (;;) {
    try {
      work();
      return;
    } catch (const ConnectionLost& e) {
      lose_link();
      // Who has seen nothing of it yet is told so at once.
      if (!view_.is_known() || steady_clock::now() >= give_up) throw;
      retries_.failed(e);
      std::this_thread::sleep_for(pauses.next());
    }
  }
}

// What is at the end of the stream, once it is not just that a replica lags.
NatsTail NatsStore::tail_there() {
  const std::string hint = fmt::format("\"daystream publish DIR {}\" makes it", name_);
  for (int tries = 1;; ++tries) {
    const auto info = nats_info(link(), address_.stream);
    // Where there was one, it may be made again.
    if (!info && view_.is_known())
      throw ConnectionLost(fmt::format("{}: the stream is gone", name_), hint);
    if (!info) {
      throw NeedsPerson(fmt::format("there is no stream \"{}\" at {}", address_.stream, name_),
                        hint);
    }
    NatsTail tail = nats_tail(link(), *info);
    if (!tail.manifest && tail.days.empty()) {
      throw ConnectionLost(fmt::format("nothing was published to {} yet", name_), hint);
    }
    if ((tail.lost.empty() && tail.has_manifest_of_range()) || tries == kTriesAtReplicas) {
      return tail;
    }
    std::this_thread::sleep_for(kBetweenTries);
  }
}

// How the stream is now: a few requests, however much it holds.
void NatsStore::look() {
  const NatsTail tail = tail_there();
  if (view_.is_of_another(tail)) {
    feed_.reset();
    held_.clear();
  }
  view_.take(tail);
  look_at_ = steady_clock::now() + kBetweenNatsLooks;
}

std::optional<NatsMessage> NatsStore::ask(std::uint64_t sequence, std::int64_t day) {
  return link().first_from(std::max<std::uint64_t>(sequence, 1), subject_of(day));
}

// nullopt: it is none of this daystream.
std::optional<NatsRange> NatsStore::range_of(const NatsMessage& message, std::string& why) const {
  auto range = read_range(message, why);
  if (!range || range->stream_id == view_.id()) return range;
  why = fmt::format("message {} is of another daystream", message.sequence);
  return std::nullopt;
}

// ---- following ---------------------------------------------------------------------------------

void NatsStore::start_feed(std::uint64_t sequence, const Spot& next) {
  feed_.reset();
  feed_ = std::make_unique<NatsFeed>(address_, view_.prefix() + ">", sequence);
  feed_next_ = next;
}

// Takes a message of the feed in. False: it is not what comes next, so that the feed is of no use.
bool NatsStore::see(NatsMessage message) {
  view_.saw(message.sequence);
  if (message.subject == view_.prefix() + kManifestToken) return view_.take_manifest(message);
  if (!day_of_subject(message.subject) || !is_range(message)) return true;
  std::string why;
  auto range = range_of(message, why);
  if (!range) return false;
  // What was read elsewhere, as it was lost, and then was published again.
  const Spot end{range->day, range->end};
  if (end <= feed_next_) return true;
  const Spot begin{range->day, range->begin};
  const Spot ended =
      range->before ? Spot{range->before->day, range->before->size_bytes} : Spot{0, 0};
  const bool is_next_day = range->begin == 0 && ended == feed_next_;
  if (begin != feed_next_ && !is_next_day) return false;
  if (!view_.take_range(*range, message.sequence)) return false;
  feed_next_ = end;
  held_.hold({std::move(*range), std::move(message.data)});
  return true;
}

// Whether there is more than before.
bool NatsStore::drain() {
  const Spot before = view_.end().spot();
  for (std::size_t bytes = 0; feed_ && bytes < HeldMessages::kMostBytes / 2;) {
    auto message = feed_->take();
    if (!message) break;
    bytes += message->data.size();
    if (!see(std::move(*message))) {
      feed_.reset();
      look_at_ = {};
    }
  }
  return view_.end().spot() > before;
}

void NatsStore::take_news() {
  const std::lock_guard lock(mutex_);
  // A feed that is behind is of who reads on, not of who waits for more.
  if (feed_ && feed_next_ >= view_.end().spot()) drain();
}

bool NatsStore::wait(milliseconds timeout, int wake_fd) {
  const std::lock_guard lock(mutex_);
  const auto end = steady_clock::now() + timeout;
  const Spot before = view_.end().spot();
  for (;;) {
    try {
      if (has_come(before, wake_fd, end)) return true;
    } catch (const ConnectionLost& e) {
      lose_link();
      look_at_ = {};
      if (!view_.is_known() && !e.retryable_at_first()) throw;
      retries_.failed(e);
      WaitSet{wake_fd}.wait_until(std::min(end, steady_clock::now() + retries_.pause()));
    }
    if (wake_fd >= 0 && WaitSet{wake_fd}.wait(milliseconds(0))) return false;
    if (steady_clock::now() >= end) return false;
  }
}

// One turn of wait(): whether the stream has another end than `before`.
bool NatsStore::has_come(const Spot& before, int wake_fd, steady_clock::time_point end) {
  if (steady_clock::now() >= look_at_) {
    const Spot was = view_.end().spot();
    look();
    if (view_.end().spot() > was) feed_.reset();  // it should have said so
  }
  if (view_.end().spot() != before) return true;
  if (!feed_ || feed_next_ < view_.end().spot())
    start_feed(view_.last_sequence() + 1, view_.end().spot());
  const auto until = std::min(end, look_at_);
  const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
  if (!feed_->wait(std::max(left, milliseconds(0)), wake_fd)) return false;
  look_at_ = steady_clock::now() + kBetweenNatsLooks;
  if (drain()) {
    retries_.worked();
    return true;
  }
  if (!feed_) WaitSet{wake_fd}.wait(retries_.pause());
  return false;
}

// ---- reading -----------------------------------------------------------------------------------

std::uint64_t NatsStore::size_of(std::int64_t day) {
  const std::lock_guard lock(mutex_);
  know();
  if (const auto known = view_.size_of(day)) return *known;
  std::string why = "it is not there";
  std::uint64_t size = 0;
  if (view_.has(day)) {
    patiently([&] {
      size = size_by_next_day(day);
      if (size == 0) size = size_by_last_message(day, why);
    });
  }
  if (fallback_ && !view_.size_of(day)) size = std::max(size, fallback_->size_of(day));
  if (size == 0) {
    throw Corruption(path_of(day), 0, fmt::format("its last message: {}", why),
                     NatsFallback::kHint);
  }
  view_.note_size(day, size);
  return size;
}

// What the next day's first message says; 0: that cannot be read. The day that ended before that
// one may be another, which is lost whole.
std::uint64_t NatsStore::size_by_next_day(std::int64_t day) {
  const auto next = view_.day_after(day);
  auto message = next ? ask(1, *next) : std::nullopt;
  std::string why;
  auto range = message ? range_of(*message, why) : std::nullopt;
  if (!range || range->begin != 0 || !range->before) return 0;
  view_.note(*range, message->sequence);
  const auto ended = *range->before;
  held_.hold({std::move(*range), std::move(message->data)});
  view_.note_size(ended.day, ended.size_bytes);
  view_.expect(ended.day);
  return ended.day == day ? ended.size_bytes : 0;
}

// What its own last message says; 0: that cannot be read.
std::uint64_t NatsStore::size_by_last_message(std::int64_t day, std::string& why) {
  const auto last = link().last_of(subject_of(day));
  const auto range = last ? range_of(*last, why) : std::nullopt;
  if (!range) return 0;
  view_.note(*range, last->sequence);
  return range->end;
}

std::size_t NatsStore::read(std::int64_t day, std::span<char> into, std::uint64_t offset) {
  const std::uint64_t size = size_of(day);
  const std::lock_guard lock(mutex_);
  std::size_t done = 0;
  while (done < into.size() && offset + done < size) {
    const std::uint64_t at = offset + done;
    const HeldMessage& held = this->held({day, at});
    const std::size_t skip = at - held.range.begin;
    const std::size_t some =
        std::min({into.size() - done, held.bytes.size() - skip, std::size_t{size - at}});
    std::memcpy(into.data() + done, held.bytes.data() + skip, some);
    done += some;
  }
  return done;
}

// The message that has this byte.
const HeldMessage& NatsStore::held(const Spot& place) {
  const std::int64_t day = place.first;
  std::string why = "it is not there";
  HeldMessage* found = held_.find(place);
  if (found == nullptr && view_.has(day)) {
    patiently([&] {
      if (from_feed(place) || from_stream(place, why) || view_.places(day).empty()) return;
      // Unless what was known of its places is of a stream that was made again.
      view_.places(day).clear();
      from_stream(place, why);
    });
    found = held_.find(place);
  }
  if (found != nullptr && !found->is_seen && !held_.is_as_before(*found)) {
    held_.drop(found->begin());
    found = nullptr;
    why = "it has other bytes than when it was read before";
  }
  if (found == nullptr) found = from_fallback(place, why);
  found->is_seen = true;
  order_.read(found->range);
  return *found;
}

void ReadingOrder::read(const NatsRange& range) {
  const Spot begin{range.day, range.begin};
  const Spot end{range.day, range.end};
  if (begin == read_last_ || (range.begin == 0 && range.day > read_last_.first)) {
    ++in_order_;
  } else if (end != read_last_) {
    in_order_ = 0;
  }
  read_last_ = end;
}

HeldMessage* NatsStore::from_fallback(const Spot& place, const std::string& why) {
  const auto [day, offset] = place;
  if (!fallback_) lost(place, why, NatsFallback::kHint);
  fallback_->stands_in_for(fmt::format("{}: {}", path_of(day), why));
  std::optional<Durable> known;
  if (const auto* before = offset > 0 ? held_.find({day, offset - 1}) : nullptr;
      before != nullptr && before->range.durable.size_bytes > 0) {
    known = before->range.durable;
  }
  HeldMessage held;
  held.range.day = day;
  held.range.begin = offset;
  held.bytes = fallback_->read(day, offset, known);
  held.range.end = offset + held.bytes.size();
  if (held.bytes.empty()) {
    lost(place, fmt::format("{}, and {} does not have it", why, fallback_->name()),
         NatsFallback::kHintToCopy);
  }
  held_.hold(std::move(held));
  return held_.find(place);
}

void NatsStore::lost(const Spot& place, const std::string& why, const std::string& hint) {
  const std::string path = path_of(place.first);
  patiently([this] { look(); });
  if (view_.has(place.first)) throw Corruption(path, place.second, why, hint);
  throw PositionGone(fmt::format("day file \"{}\" is no longer kept", path),
                     "start again from a fresh copy of the tables");
}

// Who has read some messages one after the other gets what follows from a consumer. False: it does
// not have this byte.
bool NatsStore::from_feed(const Spot& place) {
  constexpr milliseconds kPatienceWithIt{1000};
  if (!feed_ || feed_next_ != place) {
    if (!order_.comes_to(place)) return false;
    const auto* const before = view_.places(place.first).ending_at(place.second);
    // Nothing is behind the last message.
    if (before == nullptr || before->sequence >= view_.last_sequence()) return false;
    start_feed(before->sequence + 1, place);
  }
  while (feed_) {
    auto message = feed_->take();
    const bool is_slow = !message && !feed_->wait(kPatienceWithIt, -1);
    if (is_slow || (message && !see(std::move(*message)))) feed_.reset();
    if (held_.find(place) != nullptr) return true;
  }
  return false;
}

// The sequence of the day's last message, once that is one that has the byte, or is behind it:
// where it stands is noted, and others are found between two that are known in a few steps. What is
// known of the stream says too little: it may have been made again since.
std::uint64_t NatsStore::look_for_last(std::int64_t day, std::uint64_t offset) {
  const NatsPlaces& places = view_.places(day);
  std::uint64_t sequence = 0;
  for (int tries = 1; !places.reach(offset); ++tries) {
    const auto last = link().last_of(subject_of(day));
    std::string why;
    const auto range = last ? range_of(*last, why) : std::nullopt;
    if (last) sequence = last->sequence;
    if (range) view_.note(*range, sequence);
    const bool is_damaged = last && !range;
    if (is_damaged || tries == kTriesAtReplicas) break;
    if (!places.reach(offset)) std::this_thread::sleep_for(kBetweenTries);
  }
  return sequence;
}

bool NatsStore::from_stream(const Spot& place, std::string& why) {
  const std::uint64_t last = look_for_last(place.first, place.second);
  NatsSearch search(view_.places(place.first), place.second, last);
  auto found = NatsSearch::Found::Elsewhere;
  int misses = 0;
  while (found == NatsSearch::Found::Elsewhere) {
    const auto sequence = search.next();
    if (!sequence) break;
    auto message = ask(*sequence, place.first);
    if (!message && ++misses < kTriesAtReplicas) {
      std::this_thread::sleep_for(kBetweenTries);
      continue;
    }
    std::string bad;
    auto range = message ? range_of(*message, bad) : std::nullopt;
    found = !message ? search.saw_nothing()
            : !range ? search.saw_damage(message->sequence, bad)
                     : search.saw(*range, message->sequence);
    if (found == NatsSearch::Found::Here) held_.hold({std::move(*range), std::move(message->data)});
  }
  if (!search.why().empty()) why = search.why();
  return found == NatsSearch::Found::Here;
}

void NatsStore::release(std::int64_t day, std::uint64_t offset) {
  const std::lock_guard lock(mutex_);
  held_.forget_read({day, offset});
}

}  // namespace daystream::remote
