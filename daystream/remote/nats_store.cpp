#include "remote/nats_store.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>
#include <utility>

#include "calendar.h"
#include "crc32c.h"
#include "day_file.h"
#include "daystream/error.h"
#include "manifest_file.h"
#include "program/hint.h"
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
constexpr std::size_t kMostPlaces = 4096;

}  // namespace

NatsStore::NatsStore(const NatsAddress& address, const StreamKinds& kinds)
    : address_(address), name_(address.name()) {
  if (!address.fallback.empty()) fallback_.emplace(kinds.open(address.fallback), address.who);
}

std::string NatsStore::path_of(std::int64_t day) const {
  return fmt::format("{}/{}", name_, day_file_name(day));
}

std::string NatsStore::manifest() {
  const std::lock_guard lock(mutex_);
  know();
  return manifest_;
}

NatsFallback::End NatsStore::end() {
  const std::lock_guard lock(mutex_);
  know();
  return end_;
}

std::vector<std::int64_t> NatsStore::days() {
  const std::lock_guard lock(mutex_);
  know();
  std::vector<std::int64_t> days;
  for (const auto& [day, known] : days_) days.push_back(day);
  if (!fallback_) return days;
  try {
    for (const std::int64_t day : fallback_->days()) days.push_back(day);
  } catch (const ConnectionLost& e) {
    // It is not needed yet, perhaps.
    if (const auto text = repeats_.met(e.what()))
      spdlog::warn("{}", program::with_hint(*text + "; going on without its days", e.hint()));
  }
  std::sort(days.begin(), days.end());
  days.erase(std::unique(days.begin(), days.end()), days.end());
  return days;
}

bool NatsStore::has(std::int64_t day) {
  const std::lock_guard lock(mutex_);
  know();
  if (days_.contains(day)) return true;
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
  if (!looked_) patiently([this] { look(); });
}

NatsLink& NatsStore::link() {
  if (!link_) link_ = std::make_unique<NatsLink>(address_);
  return *link_;
}

// Does `work`, with another connection where the one that there is breaks.
void NatsStore::patiently(const std::function<void()>& work) {
  Pauses pauses;
  const auto give_up = steady_clock::now() + kNatsPatience;
  for (;;) {
    try {
      work();
      return;
    } catch (const ConnectionLost& e) {
      feed_.reset();
      link_.reset();
      // Who has seen nothing of it yet is told so at once.
      if (!looked_ || steady_clock::now() >= give_up) throw;
      if (const auto text = repeats_.met(e.what()))
        spdlog::warn("{}", program::with_hint(*text + "; trying again", e.hint()));
      std::this_thread::sleep_for(pauses.next());
    }
  }
}

void NatsStore::forget() {
  feed_.reset();
  days_.clear();
  sizes_.clear();
  held_.clear();
  last_sequence_ = 0;
  manifest_sequence_ = 0;
  end_ = {};
}

// What is at the end of the stream, once it is not just that a replica lags.
NatsTail NatsStore::tail_there() {
  const std::string hint = fmt::format("\"daystream publish DIR {}\" makes it", name_);
  for (int tries = 1;; ++tries) {
    const auto info = nats_info(link(), address_.stream);
    // Where there was one, it may be made again.
    if (!info && looked_) throw ConnectionLost(fmt::format("{}: the stream is gone", name_), hint);
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
  // Made again, or put back to an older copy: what was known of it says nothing.
  if (looked_ && (tail.created != created_ || tail.last_sequence < last_sequence_)) forget();
  created_ = tail.created;
  prefix_ = tail.prefix;
  take_manifest(tail);
  take_days(tail);
  take_end(tail);
  last_sequence_ = std::max(last_sequence_, tail.last_sequence);
  looked_ = true;
  look_at_ = steady_clock::now() + kBetweenNatsLooks;
}

// An older one would say of tables that they are in the stream, or are not, where that has changed.
void NatsStore::take_manifest(const NatsTail& tail) {
  if (tail.has_manifest_of_range())
    return see_manifest(tail.manifest->text, tail.manifest_sequence);
  const std::string problem = "the manifest that holds for its end is not there, or damaged";
  if (!fallback_) throw Corruption(name_, 0, problem, NatsFallback::kHint);
  if (const auto text = repeats_.met(fmt::format("{}: {}", name_, problem)))
    spdlog::warn("{}; reading it from {}", *text, address_.fallback);
  const NatsManifest theirs{"", fallback_->manifest(), {}};
  if (theirs.text.empty() || (tail.range && theirs.sum() != tail.range->manifest_sum)) {
    throw Corruption(name_, 0,
                     fmt::format("{}, and {} has another one", problem, address_.fallback),
                     "look whether that is a copy of this daystream, and how far it is");
  }
  see_manifest(theirs.text, tail.range_sequence);
}

void NatsStore::see_manifest(const std::string& text, std::uint64_t sequence) {
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

void NatsStore::take_days(const NatsTail& tail) {
  for (const std::int64_t day : tail.days) days_.try_emplace(day);
  if (!tail.manifest || !tail.manifest->first_day) return;
  // One that was not deleted by the publisher is to be there: who needs it finds that it is lost.
  days_.erase(days_.begin(), days_.lower_bound(*tail.manifest->first_day));
  days_.try_emplace(*tail.manifest->first_day);
}

// What can no longer be read at the end was read before, or the fallback has it, or it is damage.
void NatsStore::take_end(const NatsTail& tail) {
  if (tail.range && tail.range->stream_id != id_) {
    throw WrongSource(
        fmt::format("{} has messages of another daystream ({}) than its manifest says", name_,
                    tail.range->stream_id),
        "give each daystream a stream of its own");
  }
  if (tail.range) {
    const NatsRange& range = *tail.range;
    days_[range.day][range.begin] = {tail.range_sequence, range.end};
    if (Spot{range.day, range.end} >= end_.spot())
      end_ = {range.durable, true, range.day, range.end};
  }
  if (tail.lost.empty() || tail.lost_sequence <= last_sequence_) return;
  const auto further = fallback_ ? fallback_->end() : std::nullopt;
  if (!further || further->spot() <= end_.spot()) {
    throw Corruption(name_, 0, fmt::format("what was published last: {}", tail.lost),
                     NatsFallback::kHint);
  }
  if (const auto text = repeats_.met(fmt::format("{}: {}", name_, tail.lost)))
    spdlog::warn("{}; reading what is from there on from {}", *text, address_.fallback);
  end_ = *further;
  days_.try_emplace(end_.day);
}

std::optional<NatsMessage> NatsStore::ask(std::uint64_t sequence, std::int64_t day) {
  return link().first_from(std::max<std::uint64_t>(sequence, 1), subject_of(day));
}

// ---- following ---------------------------------------------------------------------------------

void NatsStore::start_feed(std::uint64_t sequence, const Spot& next) {
  feed_.reset();
  feed_ = std::make_unique<NatsFeed>(address_, prefix_ + ">", sequence);
  feed_next_ = next;
}

// Takes a message of the feed in. False: it is not what comes next, so that the feed is of no use.
bool NatsStore::see(NatsMessage message) {
  last_sequence_ = std::max(last_sequence_, message.sequence);
  if (!day_of_subject(message.subject)) {
    const bool is_news =
        message.subject == prefix_ + kManifestToken && message.sequence > manifest_sequence_;
    if (!is_news) return true;
    const auto manifest = read_manifest(message);
    if (manifest) see_manifest(manifest->text, message.sequence);
    return manifest.has_value();
  }
  if (!is_range(message)) return true;
  std::string why;
  auto range = read_range(message, why);
  if (!range || range->stream_id != id_) return false;
  // What was read elsewhere, as it was lost, and then was published again.
  if (Spot{range->day, range->end} <= feed_next_) return true;
  const Spot begin{range->day, range->begin};
  const Spot ended =
      range->before ? Spot{range->before->day, range->before->size_bytes} : Spot{0, 0};
  const bool is_next_day = range->begin == 0 && ended == feed_next_;
  if (begin != feed_next_ && !is_next_day) return false;
  return see_range(std::move(*range), std::move(message));
}

bool NatsStore::see_range(NatsRange range, NatsMessage message) {
  const bool is_news = Spot{range.day, range.end} > end_.spot();
  if (is_news && range.manifest_sum != manifest_sum_) return false;
  if (range.before) sizes_[range.before->day] = range.before->size_bytes;
  feed_next_ = {range.day, range.end};
  Places& places = days_[range.day];
  places[range.begin] = {message.sequence, range.end};
  // A few of them are enough to find the others by.
  if (places.size() > kMostPlaces) places.erase(std::next(places.begin()));
  if (is_news) end_ = {range.durable, true, range.day, range.end};
  held_.hold({std::move(range), std::move(message.data)});
  return true;
}

// Whether there is more than before.
bool NatsStore::drain() {
  const Spot before = end_.spot();
  for (std::size_t bytes = 0; feed_ && bytes < HeldMessages::kMostBytes / 2;) {
    auto message = feed_->take();
    if (!message) break;
    bytes += message->data.size();
    if (!see(std::move(*message))) {
      feed_.reset();
      look_at_ = {};
    }
  }
  return end_.spot() > before;
}

void NatsStore::take_news() {
  const std::lock_guard lock(mutex_);
  // A feed that is behind is of who reads on, not of who waits for more.
  if (feed_ && feed_next_ >= end_.spot()) drain();
}

bool NatsStore::wait(milliseconds timeout, int wake_fd) {
  const std::lock_guard lock(mutex_);
  const auto end = steady_clock::now() + timeout;
  const Spot before = end_.spot();
  for (;;) {
    try {
      if (has_come(before, wake_fd, end)) return true;
    } catch (const ConnectionLost& e) {
      feed_.reset();
      link_.reset();
      look_at_ = {};
      if (!looked_ && !e.retryable_at_first()) throw;
      if (const auto text = repeats_.met(e.what()))
        spdlog::warn("{}", program::with_hint(*text + "; trying again", e.hint()));
      WaitSet{wake_fd}.wait_until(std::min(end, steady_clock::now() + pauses_.next()));
    }
    if (wake_fd >= 0 && WaitSet{wake_fd}.wait(milliseconds(0))) return false;
    if (steady_clock::now() >= end) return false;
  }
}

// One turn of wait(): whether the stream has another end than `before`.
bool NatsStore::has_come(const Spot& before, int wake_fd, steady_clock::time_point end) {
  if (steady_clock::now() >= look_at_) {
    const Spot was = end_.spot();
    look();
    if (end_.spot() > was) feed_.reset();  // it should have said so
  }
  if (end_.spot() != before) return true;
  if (!feed_ || feed_next_ < end_.spot()) start_feed(last_sequence_ + 1, end_.spot());
  const auto until = std::min(end, look_at_);
  const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
  if (!feed_->wait(std::max(left, milliseconds(0)), wake_fd)) return false;
  look_at_ = steady_clock::now() + kBetweenNatsLooks;
  repeats_.clear();
  if (drain()) {
    pauses_.reset();
    return true;
  }
  if (!feed_) WaitSet{wake_fd}.wait(pauses_.next());
  return false;
}

// ---- reading -----------------------------------------------------------------------------------

std::uint64_t NatsStore::size_of(std::int64_t day) {
  const std::lock_guard lock(mutex_);
  know();
  if (day == end_.day) return end_.size;
  if (const auto known = sizes_.find(day); known != sizes_.end()) return known->second;
  std::string why = "it is not there";
  std::uint64_t size = 0;
  if (days_.contains(day)) {
    patiently([&] {
      size = size_by_next_day(day);
      if (size == 0) size = size_by_last_message(day, why);
    });
  }
  if (fallback_ && !sizes_.contains(day)) size = std::max(size, fallback_->size_of(day));
  if (size == 0) {
    throw Corruption(path_of(day), 0, fmt::format("its last message: {}", why),
                     NatsFallback::kHint);
  }
  return sizes_[day] = size;
}

// What the next day's first message says; 0: that cannot be read. The day that ended before that
// one may be another, which is lost whole.
std::uint64_t NatsStore::size_by_next_day(std::int64_t day) {
  const auto next = days_.upper_bound(day);
  if (next == days_.end()) return 0;
  auto message = ask(1, next->first);
  std::string why;
  auto range = message ? read_range(*message, why) : std::nullopt;
  if (!range || range->stream_id != id_ || range->begin != 0 || !range->before) return 0;
  next->second[0] = {message->sequence, range->end};
  const auto ended = *range->before;
  held_.hold({std::move(*range), std::move(message->data)});
  sizes_[ended.day] = ended.size_bytes;
  days_.try_emplace(ended.day);
  return ended.day == day ? ended.size_bytes : 0;
}

// What its own last message says; 0: that cannot be read.
std::uint64_t NatsStore::size_by_last_message(std::int64_t day, std::string& why) {
  const auto last = link().last_of(subject_of(day));
  const auto range = last ? read_range(*last, why) : std::nullopt;
  if (!range || range->stream_id != id_) return 0;
  days_[day][range->begin] = {last->sequence, range->end};
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
  if (found == nullptr && days_.contains(day)) {
    patiently([&] {
      if (from_feed(place) || from_stream(place, why) || days_[day].empty()) return;
      // Unless what was known of its places is of a stream that was made again.
      days_[day].clear();
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
  note_order(found->range);
  return *found;
}

// Whether messages are read one after the other.
void NatsStore::note_order(const NatsRange& range) {
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
  if (const auto text = repeats_.met(fmt::format("{}: {}", path_of(day), why)))
    spdlog::warn("{}; reading it from {}", *text, address_.fallback);
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
    lost(place, fmt::format("{}, and {} does not have it", why, address_.fallback),
         "look whether that is a copy of this daystream, and how far it is");
  }
  held_.hold(std::move(held));
  return held_.find(place);
}

void NatsStore::lost(const Spot& place, const std::string& why, const std::string& hint) {
  const std::string path = path_of(place.first);
  patiently([this] { look(); });
  if (days_.contains(place.first)) throw Corruption(path, place.second, why, hint);
  throw PositionGone(fmt::format("day file \"{}\" is no longer kept", path),
                     "start again from a fresh copy of the tables");
}

// Who has read some messages one after the other gets what follows from a consumer. False: it does
// not have this byte.
bool NatsStore::from_feed(const Spot& place) {
  constexpr int kEnough = 3;
  constexpr milliseconds kPatienceWithIt{1000};
  if (!feed_ || feed_next_ != place) {
    if (in_order_ < kEnough || read_last_ != place) return false;
    const Places& places = days_[place.first];
    const auto after = places.lower_bound(place.second);
    if (after == places.begin() || std::prev(after)->second.end != place.second) return false;
    const std::uint64_t before = std::prev(after)->second.sequence;
    if (before >= last_sequence_) return false;  // nothing is behind it
    start_feed(before + 1, place);
  }
  while (feed_) {
    auto message = feed_->take();
    const bool is_slow = !message && !feed_->wait(kPatienceWithIt, -1);
    if (is_slow || (message && !see(std::move(*message)))) feed_.reset();
    if (held_.find(place) != nullptr) return true;
  }
  return false;
}

// Between messages whose places are known it asks for the one that should be nearest, or in the
// middle where that does not help.
struct NatsStore::Search {
  Search(const Spot& place, Places& all) : wanted(place), places(all) {
    const auto after = places.upper_bound(place.second);
    if (after != places.end()) {
      high = after->second.sequence;
      high_begin = after->first;
    }
    if (after == places.begin()) return;
    const auto& [begin, before] = *std::prev(after);
    const bool has_it = place.second < before.end;
    low = has_it ? before.sequence : before.sequence + 1;
    low_end = has_it ? begin : before.end;
  }

  // The sequence to ask for; nullopt: none is left.
  std::optional<std::uint64_t> next() {
    while (damaged.contains(low)) ++low;
    if (low >= high) return std::nullopt;
    asked = low;
    if (high != UINT64_MAX && wanted.second > low_end) {
      const double part = step++ % 3 == 2 ? 0.5
                                          : static_cast<double>(wanted.second - low_end) /
                                                static_cast<double>(high_begin - low_end);
      asked += static_cast<std::uint64_t>(part * static_cast<double>(high - low - 1));
    }
    return asked;
  }

  const Spot wanted;
  Places& places;
  std::uint64_t low = 1;  // messages before it end before `low_end`
  std::uint64_t low_end = 0;
  std::uint64_t high = UINT64_MAX;  // those from it on begin at `high_begin`, or later
  std::uint64_t high_begin = 0;
  std::uint64_t asked = 0;  // for the first message from there on
  std::set<std::uint64_t> damaged;
  int step = 0;
};

bool NatsStore::from_stream(const Spot& place, std::string& why) {
  Search search(place, days_[place.first]);
  int misses = 0;
  while (const auto sequence = search.next()) {
    auto message = ask(*sequence, place.first);
    if (!message && ++misses < kTriesAtReplicas) {
      std::this_thread::sleep_for(kBetweenTries);
      continue;
    }
    if (!message || message->sequence >= search.high) {
      if (*sequence == search.low) return false;
      search.high = *sequence;
      continue;
    }
    if (const auto found = take_found(search, std::move(*message), why)) return *found;
  }
  return false;
}

// Whether that message has the place, or none can have it; nullopt: it says where to search on.
std::optional<bool> NatsStore::take_found(Search& search, NatsMessage message, std::string& why) {
  const std::uint64_t offset = search.wanted.second;
  const bool is_first = search.asked == search.low;
  std::string bad;
  auto range = read_range(message, bad);
  if (!range || range->stream_id != id_) {
    why = range ? fmt::format("message {} is of another daystream", message.sequence) : bad;
    search.damaged.insert(message.sequence);
    (is_first ? search.low : search.high) = is_first ? message.sequence : search.asked;
    return std::nullopt;
  }
  const bool is_past = search.high != UINT64_MAX && range->end > search.high_begin;
  if (range->begin < search.low_end || is_past) {
    why = fmt::format("message {} is not in order", message.sequence);
    return false;
  }
  search.places[range->begin] = {message.sequence, range->end};
  if (range->begin <= offset && offset < range->end) {
    held_.hold({std::move(*range), std::move(message.data)});
    return true;
  }
  if (range->end <= offset) {
    search.low = message.sequence + 1;
    search.low_end = range->end;
  } else if (is_first) {
    why = fmt::format("no message has this byte, message {} has what is from byte {} on",
                      message.sequence, range->begin);
    return false;
  } else {
    search.high = search.asked;
    search.high_begin = range->begin;
  }
  return std::nullopt;
}

void NatsStore::release(std::int64_t day, std::uint64_t offset) {
  const std::lock_guard lock(mutex_);
  held_.forget_read({day, offset});
}

}  // namespace daystream::remote
