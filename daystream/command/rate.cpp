#include "rate.h"

#include <algorithm>
#include <ctime>

#include "calendar.h"
#include "daystream/reader.h"
#include "seek.h"

namespace daystream::command {

namespace {

constexpr std::int64_t kSeconds = 300;
constexpr std::uint64_t kMostBytes = 64 * 1024 * 1024;

}  // namespace

Rate recent_rate(const StreamView& view, const std::filesystem::path& directory) {
  const std::int64_t now = std::time(nullptr);
  Rate rate;
  rate.seconds = kSeconds;
  Position begin{now - kSeconds - 1, UINT64_MAX};  // what stands after it counts
  std::uint64_t bytes = 0;
  for (auto day = view.days().rbegin(); day != view.days().rend(); ++day) {
    if ((*day + 1) * kSecondsPerDay <= begin.c) break;
    const DayView open = view.open(*day);
    const Seeker seeker(*open.file, open.limit);
    const std::uint64_t from = std::min(seeker.after(begin), open.limit);
    const std::uint64_t room = kMostBytes - bytes;
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
  const auto bounds = extent(directory);
  if (!bounds || bounds->last <= begin) return rate;
  StartAfter start;
  if (begin >= bounds->first) start.position = begin;
  Reader reader(directory, start);
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

}  // namespace daystream::command
