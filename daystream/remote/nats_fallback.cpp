#include "remote/nats_fallback.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

#include "calendar.h"
#include "day_file.h"
#include "daystream/error.h"
#include "manifest_file.h"
#include "program/hint.h"
#include "remote/nats_address.h"
#include "stream_impl.h"
#include "stream_view.h"

namespace daystream::remote {

namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kFallbackPatience{20};
constexpr std::chrono::seconds kBetweenLists{20};

}  // namespace

void NatsFallback::stands_in_for(const std::string& missing) {
  if (const auto text = repeats_.met(missing))
    spdlog::warn("{}; reading what is there from {}", *text, name());
}

void NatsFallback::is_away(const Error& error) {
  if (const auto text = repeats_.met(error.what()))
    spdlog::warn("{}", program::with_hint(*text + "; going on without its days", error.hint()));
}

std::shared_ptr<Dir> NatsFallback::files() {
  if (!files_) files_ = files_of(copy_);
  return files_;
}

const std::vector<std::int64_t>& NatsFallback::days() {
  if (steady_clock::now() < days_until_) return days_;
  std::vector<std::int64_t> days;
  if (const auto dir = files()) {
    days = list_days(*dir);
  } else if (const auto info = copy_.info(); info.whole) {
    for (const auto& day : info.whole->days) {
      if (const auto number = day_of_file_name(day.file)) days.push_back(*number);
    }
  }
  std::sort(days.begin(), days.end());
  days_ = std::move(days);
  days_until_ = steady_clock::now() + kBetweenLists;
  return days_;
}

std::optional<NatsFallback::End> NatsFallback::end() {
  End end;
  if (const auto dir = files()) {
    end.durable = with_view(*dir, [](const StreamView& view) { return view.durable(); });
  } else {
    const auto info = copy_.info();
    if (!info.durable || !info.whole || info.whole->days.empty()) return std::nullopt;
    end.durable = {info.durable->position, info.durable->lsn, info.whole->days.back().size_bytes,
                   0};
    end.has_chain = false;
  }
  end.day = day_number(end.durable.position.c);
  end.size = end.durable.size_bytes;
  return end;
}

std::string NatsFallback::manifest() {
  if (const auto dir = files()) {
    const auto file = dir->open(kManifestName);
    return file ? read_whole(*file) : "";
  }
  return copy_.server() ? request(who_, "GET", *copy_.server() + "/manifest").body : "";
}

std::uint64_t NatsFallback::size_of(std::int64_t day) {
  if (const auto dir = files()) {
    const auto file = open_day_file(*dir, day);
    return file ? file.file->size() : 0;
  }
  if (const auto info = copy_.info(); info.whole) {
    for (const auto& one : info.whole->days) {
      if (day_of_file_name(one.file) == day) return one.size_bytes;
    }
  }
  return 0;
}

std::string NatsFallback::read(std::int64_t day, std::uint64_t offset,
                               const std::optional<Durable>& known) {
  const auto dir = files();
  if (!dir) return read_lines(day, offset, known);
  const auto file = open_day_file(*dir, day);
  if (!file) return {};
  const std::uint64_t size = file.file->size();
  std::string bytes(offset < size ? std::min<std::uint64_t>(kMostMessage, size - offset) : 0, '\0');
  bytes.resize(file.file->read_at(bytes, offset));
  return bytes;
}

// Asks for the lines after a place of that day, or for those of the whole day.
bool NatsFallback::begin_lines(std::int64_t day, const std::optional<Durable>& known) {
  const auto begin = [this](const Position& position) {
    source_ = reader_source_of(copy_);
    try {
      return source_->resolve({position, {}, {}});
    } catch (const PositionGone&) {
      return std::optional<daystream::Place>();
    }
  };
  base_ = 0;
  day_ = day;
  if (known) {
    const auto place = begin(known->position);
    if (place && place->day == day && place->state.last == known->position) {
      base_ = known->size_bytes - place->state.offset;
      at_day_ = day;
      at_ = place->state.offset;
      return true;
    }
  }
  auto place = begin({day * kSecondsPerDay - 1, 0});
  if (!place) place = begin(Position::begin());
  if (!place) return false;
  at_day_ = place->day;
  at_ = place->state.offset;
  return place->day < day || place->state.offset == 0;
}

std::string NatsFallback::read_lines(std::int64_t day, std::uint64_t offset,
                                     const std::optional<Durable>& known) {
  const bool goes_on =
      source_ && day == day_ && at_day_ <= day && (at_day_ < day || at_ + base_ <= offset);
  if (!goes_on && !begin_lines(day, known)) return {};
  for (auto give_up = steady_clock::now() + kFallbackPatience; steady_clock::now() < give_up;) {
    const auto limit = source_->limit(at_day_, at_);
    if (limit) {
      const std::int64_t last = day_number(limit->durable.position.c);
      if (last >= day) {
        const auto file = source_->open_day(day);
        if (!file) return {};
        const std::uint64_t end = last == day ? limit->durable.size_bytes : file->size();
        at_day_ = day;
        if (offset < end + base_) {
          at_ = offset - base_;
          std::string bytes(std::min<std::uint64_t>(kMostMessage, end - at_), '\0');
          bytes.resize(file->read_at(bytes, at_));
          return bytes;
        }
        if (end > at_) give_up = steady_clock::now() + kFallbackPatience;
        at_ = end;
        if (last > day) return {};
      } else {
        if (last != at_day_ || limit->durable.size_bytes > at_) {
          give_up = steady_clock::now() + kFallbackPatience;
        }
        at_day_ = last;
        at_ = limit->durable.size_bytes;
      }
    }
    source_->wait(std::chrono::seconds(1), -1);
  }
  return {};
}

}  // namespace daystream::remote
