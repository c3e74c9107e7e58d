#include "files_stream.h"

#include <algorithm>

#include "calendar.h"
#include "day_file.h"
#include "durable_file.h"
#include "manifest_file.h"
#include "stream_info.h"
#include "stream_view.h"

namespace daystream {

namespace {

// Goes through all end lines from the back.
template <typename Fits>
std::optional<EndLine> last_end_that(const StreamView& view, const Fits& fits) {
  for (auto day = view.days().rbegin(); day != view.days().rend(); ++day) {
    const DayView open = view.open(*day);
    const Seeker seeker(*open.file, open.limit);
    for (auto end = seeker.last_end_before(open.limit); end;
         end = seeker.last_end_before(end->begin)) {
      if (fits(*end)) return end;
    }
  }
  return std::nullopt;
}

}  // namespace

Manifest FilesSource::manifest() {
  return load_manifest(*dir_);
}

std::optional<Place> FilesSource::resolve(const StartAfter& start) {
  return with_view(*dir_, [&](const StreamView& view) { return view.resolve(start); });
}

std::vector<std::int64_t> FilesSource::days() {
  return list_days(*dir_);
}

std::unique_ptr<File> FilesSource::open_day(std::int64_t day) {
  return open_day_file(*dir_, day).file;
}

// Where there is no `durable`, what the whole lines say (FORMAT.md).
std::optional<ReaderSource::Limit> FilesSource::limit(std::int64_t, std::uint64_t) {
  if (const auto durable = load_durable(*dir_)) {
    if (durable->position == Position::begin()) return std::nullopt;
    return Limit{*durable};
  }
  return with_view(*dir_, [](const StreamView& view) -> std::optional<Limit> {
    if (view.empty()) return std::nullopt;
    return Limit{.durable = view.durable(), .settled = view.is_settled()};
  });
}

std::uint64_t FilesSource::backlog_bytes(std::int64_t from_day, std::uint64_t offset) {
  const auto end = limit(from_day, offset);
  if (!end) return 0;
  const std::int64_t last = day_number(end->durable.position.c);
  std::uint64_t total = 0;
  for (const std::int64_t day : days()) {
    if (day < from_day || day > last) continue;
    const auto file = open_day(day);
    if (!file) continue;  // deleted just now: the next call of next() will say so
    total += day == last ? end->durable.size_bytes : file->size();
  }
  return total - std::min(total, offset);
}

Manifest FilesStream::manifest() const {
  return load_manifest(*files());
}

std::optional<Extent> FilesStream::extent() const {
  return with_view(*files(), extent_of);
}

std::optional<Seam> FilesStream::find_seam(std::uint64_t xmin) const {
  const auto dir = files();
  const auto found = with_view(*dir, [xmin](const StreamView& view) {
    return view.last_end_not(
        [](const EndLine& line) { return has_source_lsn(line) && line.next.has_value(); },
        [xmin](const EndLine& line) { return *line.next > xmin; });
  });
  if (!found) return std::nullopt;
  return Seam{found->end.position, found->end.lsn, *found->end.next};
}

std::optional<std::uint32_t> FilesStream::timeline() const {
  const auto said = with_view(*files(), [](const StreamView& view) {
    return last_end_that(view, [](const EndLine& end) { return end.timeline.has_value(); });
  });
  return said ? said->timeline : std::nullopt;
}

std::optional<Position> FilesStream::before_last(std::uint64_t commits) const {
  const auto found = with_view(*files(), [commits](const StreamView& view) {
    std::uint64_t seen = 0;
    return last_end_that(view, [commits, &seen](const EndLine& end) {
      return end.action == Action::Commit && seen++ == commits;
    });
  });
  return found ? std::optional(found->position) : std::nullopt;
}

}  // namespace daystream
