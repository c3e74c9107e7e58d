#include "stream_info.h"

#include <algorithm>
#include <ctime>

#include "calendar.h"
#include "day_file.h"
#include "daystream/reader.h"
#include "durable_file.h"
#include "manifest_file.h"
#include "seek.h"

namespace daystream {

namespace {

constexpr std::int64_t kRateSeconds = 300;
constexpr std::uint64_t kMostRateBytes = 64 * 1024 * 1024;

std::optional<EndLine> first_end_of(const DayView& day) {
  return Seeker(*day.file, day.limit).first_end_from(0, [](const EndLine&) { return true; });
}

// Takes up the days of `view`. Gives the first end line of all.
std::optional<EndLine> add_days(StreamInfo::Whole& whole, const StreamView& view) {
  std::optional<EndLine> first;
  for (const std::int64_t day : view.days()) {
    const auto open = view.open_if_kept(day);
    if (!open) continue;  // deleted just now
    whole.days.push_back({open->packed ? packed_file_name(day) : day_file_name(day), open->limit,
                          open->stored_bytes});
    whole.size_bytes += open->limit;
    whole.stored_bytes += open->stored_bytes;
    if (!first) first = first_end_of(*open);
  }
  return first;
}

// Of the last five minutes, or, where much has come, of the newest 64 MiB: reading takes no longer
// than that does.
StreamInfo::Rate recent_rate(const StreamView& view, const Stream& stream) {
  const std::int64_t now = std::time(nullptr);
  StreamInfo::Rate rate;
  rate.seconds = kRateSeconds;
  Position begin{now - kRateSeconds - 1, UINT64_MAX};  // what stands after it counts
  std::uint64_t bytes = 0;
  for (auto day = view.days().rbegin(); day != view.days().rend(); ++day) {
    if ((*day + 1) * kSecondsPerDay <= begin.c) break;
    const DayView open = view.open(*day);
    const Seeker seeker(*open.file, open.limit);
    const std::uint64_t from = std::min(seeker.after(begin), open.limit);
    const std::uint64_t room = kMostRateBytes - bytes;
    if (open.limit - from > room) {
      const auto end =
          seeker.first_end_from(open.limit - room, [](const EndLine&) { return true; });
      if (!end) break;  // one transaction is as large as that
      begin = end->position;
      rate.seconds = std::max<std::int64_t>(now - begin.c, 1);
      break;
    }
    bytes += open.limit - from;
  }
  std::uint64_t lines = 0;
  std::uint64_t transactions = 0;
  bytes = 0;
  const auto bounds = extent_of(view);
  if (!bounds || bounds->last <= begin) return rate;
  StartAfter start;
  if (begin >= bounds->first) start.position = begin;
  Reader reader(stream, start);
  while (const Transaction* next = reader.next()) {
    bytes += next->size_bytes();
    lines += next->line_count() + 1;
    transactions += next->kind() == Transaction::Kind::Transaction ? 1 : 0;
  }
  const auto per_second = [&](std::uint64_t count) {
    return static_cast<double>(count) / static_cast<double>(rate.seconds);
  };
  rate.bytes = per_second(bytes);
  rate.lines = per_second(lines);
  rate.transactions = per_second(transactions);
  return rate;
}

}  // namespace

StreamInfo info_of(Dir& files, const Stream& stream, const std::optional<std::string>& writer) {
  StreamInfo info;
  info.manifest = load_manifest(files);
  StreamInfo::Whole& whole = info.whole.emplace(StreamInfo::Whole{});
  whole.writer = writer;
  const StreamView view(files);
  if (view.empty()) return info;
  const Durable& durable = view.durable();
  if (load_durable(files)) info.durable = {durable.position, durable.lsn};
  if (const auto first = add_days(whole, view)) info.first = {first->position, first->lsn};
  if (const auto last = view.last_end()) info.last = {last->position, durable.lsn};
  whole.rate = recent_rate(view, stream);
  return info;
}

std::optional<Extent> extent_of(const StreamView& view) {
  if (view.empty()) return std::nullopt;
  const auto last = view.last_end();
  if (!last) return std::nullopt;
  const DayView first = view.open(view.days().front());
  return Extent{Seeker(*first.file, first.limit).position_at(0), last->position,
                view.durable().lsn};
}

}  // namespace daystream
