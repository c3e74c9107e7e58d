#include "remote/nats_publisher.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "calendar.h"
#include "crc32c.h"
#include "day_file.h"
#include "daystream/error.h"
#include "dir.h"
#include "manifest_file.h"
#include "program/hint.h"
#include "program/notify.h"
#include "program/repeats.h"
#include "program/retries.h"
#include "remote/nats_link.h"
#include "remote/nats_range.h"
#include "remote/nats_tail.h"
#include "remote/published_day.h"
#include "remote/stopped.h"
#include "src/waiting.h"
#include "stream_impl.h"

namespace daystream::remote {

namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr std::size_t kMostManifest = 600 * 1024;  // max_msg_size, without headers
constexpr int kMostMessageSize = 640 * 1024;       // with them
constexpr std::uint64_t kMostCompared = 16;        // messages on the way back to where a copy ends
constexpr milliseconds kBetweenStops{1000};        // at whether to stop, while nothing comes

}  // namespace

class NatsPublisher::Impl {
 public:
  Impl(Stream stream, const NatsAddress& address, PublishRules rules)
      : stream_(std::move(stream)), address_(address), rules_(rules) {
    files_ = files_of(stream_);
    if (!files_) {
      throw ConfigError(
          fmt::format("cannot publish \"{}\": only a directory can be", stream_.address()),
          "pull it into a directory: daystream pull URL DIR");
    }
    id_ = stream_id_of(load_manifest(*files_));
  }

  void run(const Stop& stop) {
    stop_ = notify_.watched(stop);
    while (!stop_.requested() && !done_) {
      try {
        begin();
        if (stop_.requested() || done_) break;
        retries_.let_in();
        session();
      } catch (const Stopped&) {
        break;
      } catch (const Error& e) {
        link_.reset();
        source_.reset();
        // Who is to end with the stream does not wait for a broker that it has never seen.
        if (!retries_.may_pass(e) || (rules_.once && !retries_.is_let_in())) throw;
        retries_.failed(e);
        notify_.status(fmt::format("waiting: {}", e.what()));
        sleep(stop_, retries_.pause());
      }
    }
    notify_.stopping();
    if (rules_.once && !done_) {
      throw Error(fmt::format("stopped before all of \"{}\" was published", stream_.address()),
                  "the same command goes on where it was");
    }
  }

  State look() {
    State state;
    connect();
    const auto info = nats_info(*link_, address_.stream);
    state.made = info.has_value();
    if (info) require_ours(info->at("config"));
    const auto last = info ? look_there(*info) : std::nullopt;
    source_ = reader_source_of(stream_);
    const auto limit = source_->limit(last ? last->day : 0, 0);
    const std::int64_t newest = limit ? day_number(limit->durable.position.c) : -1;
    for (const std::int64_t day : source_->days()) {
      if (day > newest || (last && day < last->day)) continue;
      const auto file = source_->open_day(day);
      if (!file) continue;
      const std::uint64_t size = day == newest ? limit->durable.size_bytes : file->size();
      const std::uint64_t there = last && day == last->day ? last->end : 0;
      state.waiting += size - std::min(there, size);
    }
    return state;
  }

 private:
  void connect() {
    if (!link_) link_ = std::make_unique<NatsLink>(address_);
  }
  std::string subjects() const { return address_.subject_of(">"); }
  NeedsPerson not_ours(const std::string& why, const std::string& hint) const {
    return NeedsPerson(fmt::format("stream \"{}\" at {} {}", address_.stream, address_.name(), why),
                       hint);
  }

  // ---- the stream there ------------------------------------------------------------------------

  void make_stream() {
    if (const auto info = nats_info(*link_, address_.stream)) return change_stream(*info);
    const int replicas = rules_.replicas.value_or(1);
    const json config = {{"name", address_.stream},
                         {"subjects", {subjects()}},
                         {"retention", "limits"},
                         {"storage", "file"},
                         {"discard", "old"},
                         {"num_replicas", replicas},
                         {"max_msgs", -1},
                         {"max_bytes", -1},
                         {"max_consumers", -1},
                         {"max_msg_size", kMostMessageSize},
                         {"duplicate_window", 100'000'000},  // the least there is
                         {"allow_direct", true},
                         {"deny_delete", true}};
    link_->api("STREAM.CREATE." + address_.stream, config);
    spdlog::info("made stream \"{}\" at {}, with {} replica{}", address_.stream, address_.name(),
                 replicas, replicas == 1 ? "" : "s");
  }

  // What the server knows and we do not stays as it is.
  void change_stream(const json& info) {
    const json& config = info.at("config");
    require_ours(config);
    json wanted = config;
    if (rules_.replicas) wanted["num_replicas"] = *rules_.replicas;
    wanted["allow_direct"] = true;
    wanted["max_msg_size"] = kMostMessageSize;
    if (wanted == config) return;
    link_->api("STREAM.UPDATE." + address_.stream, wanted);
    spdlog::info("changed stream \"{}\" at {} to what is wanted", address_.stream, address_.name());
  }

  // A stream of other subjects is somebody else's; one that deletes by itself loses parts of days.
  void require_ours(const json& config) const {
    const auto own = config.find("subjects");
    if (own == config.end() || *own != json::array({subjects()})) {
      throw not_ours(fmt::format("is not one of daystream publish: it has other subjects than "
                                 "\"{}\"",
                                 subjects()),
                     "publish to a stream that does not exist yet: it will be made");
    }
    if (config.value("retention", "limits") != "limits") {
      throw not_ours(fmt::format("has retention \"{}\", so that it deletes what somebody has read",
                                 config.value("retention", "")),
                     "publish to a stream that does not exist yet: it will be made");
    }
    const bool discards_old = config.value("discard", "old") == "old";
    for (const char* const limit : {"max_age", "max_msgs_per_subject", "max_msgs", "max_bytes"}) {
      const bool always =
          limit == std::string_view("max_age") || limit == std::string_view("max_msgs_per_subject");
      if (config.value(limit, std::int64_t{0}) <= 0 || !(always || discards_old)) continue;
      throw not_ours(
          fmt::format("has a limit, {}, by which the broker deletes parts of days", limit),
          "take it away (nats stream edit), and say --keep-days or --keep-bytes here: that deletes "
          "whole days");
    }
  }

  // What is there; the newest range, if there is one.
  std::optional<NatsRange> look_there(const json& info) {
    const NatsTail tail = nats_tail(*link_, info);
    for (const std::string& id : {tail.manifest ? tail.manifest->stream_id : id_,
                                  tail.range ? tail.range->stream_id : id_}) {
      if (id == id_) continue;
      throw WrongSource(fmt::format("{} has another daystream ({}) than \"{}\" ({})",
                                    address_.name(), id, stream_.address(), id_),
                        "give each daystream a stream of its own");
    }
    if (!tail.range && !tail.days.empty()) {
      throw not_ours("has no whole message of ours at its end",
                     "delete the stream there: it is made and filled again");
    }
    if (!tail.lost.empty()) {
      spdlog::warn("{}: what was published last: {}; publishing that again", address_.name(),
                   tail.lost);
    }
    last_sequence_ = tail.last_sequence;
    last_range_sequence_ = tail.range_sequence;
    days_there_ = tail.days;
    // A day of somebody else's message would make all others old.
    std::erase_if(days_there_,
                  [&](std::int64_t day) { return !tail.range || day > tail.range->day; });
    manifest_ = tail.manifest;
    manifest_sequence_ = tail.manifest_sequence;
    first_day_ = tail.manifest ? tail.manifest->first_day : std::nullopt;
    if (!first_day_ && !days_there_.empty()) first_day_ = days_there_.front();
    return tail.range;
  }

  // False as store() has it.
  bool publish_manifest() {
    const NatsManifest wanted{id_, read_whole(*files_->open(kManifestName)), first_day_};
    if (manifest_ && wanted.text == manifest_->text && wanted.first_day == manifest_->first_day) {
      return true;
    }
    if (wanted.text.size() > kMostManifest) {
      throw NeedsPerson(fmt::format("the manifest of \"{}\" has {} bytes, a message has {} at most",
                                    stream_.address(), wanted.text.size(), kMostManifest),
                        "begin a new daystream: its filters have changed very often");
    }
    if (!store(kManifestToken, wanted.headers(), wanted.text)) return false;
    manifest_ = wanted;
    manifest_sequence_ = last_sequence_;
    return true;
  }

  // False: another publisher was quicker, so look what is there.
  bool store(const std::string& token, const NatsLink::Headers& headers, std::string_view data) {
    if (!link_->store_behind(last_sequence_, address_.subject_of(token), headers, data)) {
      return false;
    }
    ++last_sequence_;
    return true;
  }

  // ---- where to go on --------------------------------------------------------------------------

  // Finds out what is there, and stands behind it.
  void begin() {
    connect();
    make_stream();
    if (!source_) source_ = reader_source_of(stream_);
    for (program::Repeats repeats; !stop_.requested();) {
      const auto info = nats_info(*link_, address_.stream);
      if (!info) {
        throw ConnectionLost(fmt::format("{}: the stream is gone", address_.name()),
                             "look at the streams there with \"nats stream ls\"");
      }
      const auto last = look_there(*info);
      if (!last) return stand_at_first();
      if (stand_behind(*last)) return;
      // Another publisher has a copy that is further: of the same bytes, or ours would never get
      // there.
      compare_shorter(*last);
      if (const auto text =
              repeats.met(fmt::format("{} is further than \"{}\": another publisher is ahead",
                                      address_.name(), stream_.address())))
        spdlog::warn("{}; waiting", *text);
      notify_.status(fmt::format("another publisher is ahead at {}", address_.name()));
      notify_.ready();
      if (rules_.once) {
        done_ = true;
        return;
      }
      source_->wait(kBetweenStops, stop_.fd());
    }
  }

  // At the first day that is to be there.
  void stand_at_first() {
    at_.reset();
    first_day_.reset();
    auto days = source_->days();
    const auto limit = source_->limit(0, 0);
    if (!limit) return;
    const std::int64_t newest = day_number(limit->durable.position.c);
    std::erase_if(days, [&](std::int64_t day) { return is_too_old(day, newest); });
    if (!days.empty()) open_day(days.front(), {}, {}, {});
  }

  void open_day(std::int64_t day, const ScanState& from, Lsn lsn,
                std::optional<NatsRange::DayEnd> before) {
    auto file = source_->open_day(day);
    if (!file) throw gone(day);
    at_ = std::make_unique<PublishedDay>(std::move(file), day, from, lsn, before, stop_);
  }

  PositionGone gone(std::int64_t day) const {
    return PositionGone(
        fmt::format(
            "day file \"{}\" of \"{}\" is no longer kept, but is to be published next to {}",
            day_file_name(day), stream_.address(), address_.name()),
        "delete the stream there, to publish again what is kept; or give DIR+s3://… where the days "
        "are archived");
  }

  // False: this copy does not have all of that yet. Every byte of the day is compared, by its sum.
  bool stand_behind(const NatsRange& last) {
    const auto limit = source_->limit(last.day, 0);
    const std::int64_t newest = limit ? day_number(limit->durable.position.c) : -1;
    if (newest < last.day || (newest == last.day && limit->durable.size_bytes < last.end)) {
      return false;
    }
    const auto days = source_->days();
    if (!std::binary_search(days.begin(), days.end(), last.day)) {
      if (!days.empty() && days.front() > last.day) throw gone(last.day);
      return false;
    }
    // What was published from here before need not be read again, unless the end is before that.
    if (!at_ || at_->day() != last.day || at_->end() > last.end) open_day(last.day, {}, {}, {});
    const auto same = at_->pass_over(last);
    if (same == PublishedDay::Same::Other) throw forked(last.day, last.end);
    return same == PublishedDay::Same::Yes;
  }

  NeedsPerson forked(std::int64_t day, std::uint64_t end) const {
    return NeedsPerson(
        fmt::format("\"{}\" is not the stream that is at {}: day {} has other bytes before byte {}",
                    stream_.address(), address_.name(), day_text(day), end),
        "one of two copies that were both written to is published there: find out which is the "
        "right one; if it is this one, delete the stream there, it is made and filled again");
  }

  // Where this copy ends in the day that is further there: compares all that it has of it, with the
  // message that has its end.
  void compare_shorter(const NatsRange& last) {
    const auto limit = source_->limit(last.day, 0);
    if (!limit || day_number(limit->durable.position.c) != last.day) return;
    const std::uint64_t end = limit->durable.size_bytes;
    for (std::uint64_t at = last_range_sequence_; at > 0; --at) {
      if (last_range_sequence_ - at > kMostCompared) return;
      const auto message = link_->message(at);
      std::string why;
      auto range = message ? read_range(*message, why) : std::nullopt;
      if (!range || range->day != last.day || range->begin >= end) continue;
      if (!at_ || at_->day() != last.day || at_->end() > range->begin) {
        open_day(last.day, {}, {}, {});
      }
      range->end = std::min(range->end, end);
      const std::string ours = at_->bytes_of(*range);
      NatsRange before = *range;
      before.end = range->begin;
      before.sum_after = range->sum_before;
      const bool is_same = at_->pass_over(before) == PublishedDay::Same::Yes &&
                           std::string_view(message->data).starts_with(ours);
      if (!is_same) throw forked(last.day, end);
      return;
    }
  }

  // ---- publishing ------------------------------------------------------------------------------

  void session() {
    if (!publish_manifest() || !delete_old()) return;
    notify_.status(fmt::format("publishing to {}", address_.name()));
    notify_.ready();
    if (!std::exchange(told_, true)) {
      spdlog::info(
          "publishing \"{}\" to {} after {}", stream_.address(), address_.name(),
          at_ && at_->durable().size_bytes > 0 ? at_->durable().position.text() : "nothing");
    }
    while (!stop_.requested()) {
      const Step step = publish_one();
      if (step == Step::Overtaken) return;
      if (step == Step::Done) {
        retries_.worked();
        continue;
      }
      if (rules_.once) {
        done_ = true;
        return;
      }
      link_->require_open();
      source_->wait(kBetweenStops, stop_.fd());
    }
  }

  enum class Step { Done, Nothing, Overtaken };

  Step publish_one() {
    if (!at_) {
      stand_at_first();
      if (!at_) return Step::Nothing;
    }
    const auto limit = source_->limit(at_->day(), at_->end());
    if (!limit) return Step::Nothing;
    const std::int64_t newest = day_number(limit->durable.position.c);
    if (newest < at_->day()) return Step::Nothing;
    const bool is_over = newest > at_->day();
    const std::uint64_t end = is_over ? at_->size_of_file() : limit->durable.size_bytes;
    if (at_->end() < end) return publish_range(at_->next(end, is_over ? nullptr : &*limit));
    if (!is_over) return Step::Nothing;
    next_day();
    return publish_manifest() && delete_old() ? Step::Done : Step::Overtaken;
  }

  void next_day() {
    const auto days = source_->days();
    const auto next = std::upper_bound(days.begin(), days.end(), at_->day());
    if (next == days.end()) throw gone(at_->day() + 1);
    const ScanState state = at_->state_at_end();
    open_day(*next, state, at_->lsn(), NatsRange::DayEnd{at_->day(), at_->end()});
    manifest_.reset();  // each day has it, so that those before it can go
  }

  Step publish_range(NatsRange range) {
    // The manifest that a mark speaks of is there before it.
    if (at_->take_manifest_due() && !publish_manifest()) return Step::Overtaken;
    const std::string bytes = at_->bytes_of(range);
    range.stream_id = id_;
    range.sum_after = extend_crc(range.sum_before, bytes);
    range.manifest_sum = manifest_->sum();
    if (!store(day_token(range.day), range.headers(), bytes)) return Step::Overtaken;
    last_range_sequence_ = last_sequence_;
    at_->arrived(range);
    if (range.begin > 0) return Step::Done;
    days_there_.push_back(range.day);
    if (!first_day_) first_day_ = range.day;
    return delete_old() ? Step::Done : Step::Overtaken;
  }

  // ---- what is kept there ----------------------------------------------------------------------

  void purge(const std::string& token, std::uint64_t before) {
    json request = {{"filter", address_.subject_of(token)}};
    if (before > 0) request["seq"] = before;
    link_->api("STREAM.PURGE." + address_.stream, request);
  }

  bool is_too_old(std::int64_t day, std::int64_t newest) const {
    return rules_.keep_days && day + static_cast<std::int64_t>(*rules_.keep_days) < newest;
  }

  // The first of the days that are to be kept.
  std::int64_t first_to_keep() {
    const std::int64_t newest = days_there_.back();
    std::int64_t first = newest;
    std::uint64_t bytes = 0;
    for (auto day = days_there_.rbegin(); day != days_there_.rend(); ++day) {
      if (rules_.keep_bytes) {
        const auto message = link_->last_of(address_.subject_of(day_token(*day)));
        std::string why;
        const auto range = message ? read_range(*message, why) : std::nullopt;
        bytes += range ? range->end : 0;
      }
      const bool is_too_much = rules_.keep_bytes && bytes > *rules_.keep_bytes;
      if (*day != newest && (is_too_much || is_too_old(*day, newest))) break;
      first = *day;
    }
    return first;
  }

  // Deletes whole days, the oldest first; never the newest. The manifest says so before: else who
  // killed us in between would leave a stream that looks as if the broker had lost them. False as
  // store() has it.
  bool delete_old() {
    if (days_there_.empty()) return true;
    if (rules_.keep_days || rules_.keep_bytes) {
      first_day_ = std::max(first_day_.value_or(0), first_to_keep());
    }
    if (!first_day_ || days_there_.front() >= *first_day_) return true;
    if (!publish_manifest()) return false;
    while (days_there_.front() < *first_day_) {
      const std::int64_t day = days_there_.front();
      purge(day_token(day), 0);
      days_there_.erase(days_there_.begin());
      spdlog::info("deleted day {} from {}", day_text(day), address_.name());
    }
    // Else the first of them keeps the server from forgetting the places of what was deleted. What
    // is behind the newest range stays: readers take a hole there for a loss.
    const std::uint64_t old = std::min(manifest_sequence_, last_range_sequence_);
    if (old > 1) purge(kManifestToken, old);
    return true;
  }

  const Stream stream_;
  const NatsAddress address_;
  const PublishRules rules_;
  program::Notify notify_;
  Stop stop_;  // of run(); who asks it pats the watchdog
  std::shared_ptr<Dir> files_;
  std::string id_;
  std::unique_ptr<ReaderSource> source_;
  std::unique_ptr<NatsLink> link_;
  // What is known to be there.
  std::uint64_t last_sequence_ = 0;
  std::uint64_t last_range_sequence_ = 0;
  std::vector<std::int64_t> days_there_;
  std::optional<std::int64_t> first_day_;  // that is to be there
  std::optional<NatsManifest> manifest_;   // nullopt: none that is to do
  std::uint64_t manifest_sequence_ = 0;
  std::unique_ptr<PublishedDay> at_;
  program::Retries retries_;
  bool told_ = false;
  bool done_ = false;
};

NatsPublisher::NatsPublisher(Stream stream, const NatsAddress& address, PublishRules rules)
    : impl_(std::make_unique<Impl>(std::move(stream), address, rules)) {}
NatsPublisher::~NatsPublisher() = default;

void NatsPublisher::run(const Stop& stop) {
  impl_->run(stop);
}
NatsPublisher::State NatsPublisher::look() {
  return impl_->look();
}

}  // namespace daystream::remote
