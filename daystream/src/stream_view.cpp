#include "stream_view.h"

#include <fmt/format.h>

#include <algorithm>

#include "calendar.h"
#include "day_file.h"
#include "daystream/error.h"

namespace daystream {

namespace {

DayFile read_day(Dir& dir, std::int64_t day) {
  auto file = open_day_file(dir, day);
  if (!file) {
    throw PositionGone(
        fmt::format("day file \"{}\" is no longer kept", dir.path_of(day_file_name(day))),
        "start again from a fresh copy of the tables");
  }
  return file;
}

// The LSN of the last commit or mark at or before `line`, which `seeker` found.
Lsn source_lsn_at(const Seeker& seeker, const EndLine& line) {
  EndLine at = line;
  while (!has_source_lsn(at)) {
    auto before = seeker.last_end_before(at.begin);
    if (!before) return {};
    at = std::move(*before);
  }
  return at.lsn;
}

// Used for a directory that was copied without `durable`, or lost it with the power.
std::optional<Durable> infer_durable(Dir& dir, const std::vector<std::int64_t>& days) {
  for (auto day = days.rbegin(); day != days.rend(); ++day) {
    const auto file = read_day(dir, *day).file;
    const Seeker whole(*file, file->size());
    const Seeker seeker(*file, whole.whole_lines_end());
    const auto end = seeker.last_end_before(whole.whole_lines_end());
    if (!end) continue;
    return Durable{end->position, source_lsn_at(seeker, *end), end->end, end->crc};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Durable> whole_end(Dir& dir) {
  const auto days = list_days(dir);
  for (auto day = days.rbegin(); day != days.rend(); ++day) {
    const auto file = read_day(dir, *day).file;
    GroupScanner scanner(*file, *day, {}, file->size());
    Group group;
    Lsn lsn;
    try {
      while (scanner.next(group)) {
        const Change& end = group.end_change;
        if (end.action == Action::Commit || end.action == Action::Mark) lsn = end.lsn;
      }
    } catch (const Corruption&) {
      // What is before it counts.
    }
    const ScanState& end = scanner.last_group();
    if (end.offset > 0) return Durable{end.last, lsn, end.offset, end.chain.value_or(0)};
  }
  return std::nullopt;
}

bool is_of_last_day(Dir& dir, const Corruption& damage) {
  const auto days = list_days(dir);
  return !days.empty() && damage.file() == dir.path_of(day_file_name(days.back()));
}

bool has_source_lsn(const EndLine& line) {
  return line.action == Action::Commit || line.action == Action::Mark;
}

Place place_after(std::int64_t day, const EndLine& line, Lsn lsn) {
  return {day, {line.end, line.position, line.crc, false}, lsn};
}

StreamView::StreamView(Dir& dir, const std::optional<Durable>& otherwise) : dir_(dir) {
  // `durable` is read first: every day that it speaks of is in the list that is read after it.
  auto durable = load_durable(dir);
  days_ = list_days(dir);
  settled_ = durable.has_value();
  if (!settled_) durable = otherwise ? otherwise : infer_durable(dir, days_);
  if (!durable || durable->position == Position::begin()) {
    days_.clear();
    durable_.position = Position::begin();
    return;
  }
  durable_ = *durable;
  const std::int64_t last = day_number(durable_.position.c);
  days_.erase(std::upper_bound(days_.begin(), days_.end(), last), days_.end());
  if (days_.empty() || days_.back() != last) {
    throw Corruption(dir.path_of(day_file_name(last)), 0,
                     fmt::format("the file is missing, \"{}\" says that {} bytes of it are on disk",
                                 kDurableName, durable_.size_bytes));
  }
}

std::optional<DayView> StreamView::open_if_kept(std::int64_t day) const {
  try {
    return open(day);
  } catch (const PositionGone&) {
    return std::nullopt;
  }
}

DayView StreamView::open(std::int64_t day) const {
  auto found = read_day(dir_, day);
  const bool is_last = day == days_.back();
  const std::uint64_t limit = is_last ? durable_.size_bytes : found.file->size();
  const std::uint64_t stored = found.packed ? found.stored_bytes : limit;
  return {day, std::move(found.file), limit, found.packed, stored};
}

Place StreamView::beginning() const {
  return {days_.front(), {}, {}};
}

std::optional<Place> StreamView::resolve(const StartAfter& start) const {
  if (start.lsn && (empty() || durable_.lsn < *start.lsn)) return std::nullopt;
  if (empty()) return std::nullopt;
  std::optional<Place> place;
  if (start.lsn) {
    place = at_line(start.position, *start.lsn);
    if (!place) place = after_lsn(*start.lsn);
  } else {
    place = start.position == Position::begin() ? beginning() : after_position(start.position);
  }
  if (!place) gone(start);
  return place;
}

void StreamView::gone(const StartAfter& start) const {
  const DayView first = open(days_.front());
  const Seeker seeker(*first.file, first.limit);
  const auto line = seeker.first_end_from(0, [](const EndLine&) { return true; });
  const auto with_lsn = [](const std::string& position, Lsn lsn) {
    return fmt::format("{} (LSN {})", position, lsn.text());
  };
  const std::string wanted =
      start.lsn ? with_lsn(start.position.text(), *start.lsn) : start.position.text();
  throw PositionGone(
      fmt::format("what follows position {} is no longer in daystream \"{}\", which begins at {}",
                  wanted, dir_.path().string(),
                  line ? with_lsn(line->position.text(), line->lsn) : seeker.position_at(0).text()),
      "going on from there would skip changes: start again from a fresh copy of the tables");
}

// The place after the commit or mark that stands at exactly `position` and has `lsn`.
std::optional<Place> StreamView::at_line(Position position, Lsn lsn) const {
  const std::int64_t day = day_number(position.c);
  if (!std::binary_search(days_.begin(), days_.end(), day)) return std::nullopt;
  const DayView view = open(day);
  const Seeker seeker(*view.file, view.limit);
  const auto end = seeker.last_end_before(seeker.after(position));
  if (!end || end->position != position || !has_source_lsn(*end) || end->lsn != lsn) {
    return std::nullopt;
  }
  return place_after(day, *end, end->lsn);
}

std::optional<Place> StreamView::after_lsn(Lsn lsn) const {
  const auto found =
      last_end_not(has_source_lsn, [lsn](const EndLine& line) { return line.lsn > lsn; });
  if (!found) return std::nullopt;
  return place_after(found->day, found->end, found->end.lsn);
}

std::optional<Place> StreamView::after_position(Position position) const {
  auto day = std::upper_bound(days_.begin(), days_.end(), day_number(position.c));
  while (day != days_.begin()) {
    --day;
    const DayView view = open(*day);
    const Seeker seeker(*view.file, view.limit);
    if (const auto end = seeker.last_end_before(seeker.after(position))) {
      return place_after(*day, *end, source_lsn_at(seeker, *end));
    }
  }
  return std::nullopt;
}

std::optional<EndLine> StreamView::last_end() const {
  for (auto day = days_.rbegin(); day != days_.rend(); ++day) {
    const DayView view = open(*day);
    if (auto end = Seeker(*view.file, view.limit).last_end_before(view.limit)) return end;
  }
  return std::nullopt;
}

std::optional<StreamView::Found> StreamView::last_end_not(const Seeker::Pleases& has_key,
                                                          const Seeker::Pleases& beyond) const {
  // Days whose first key is not beyond come first.
  auto after = std::partition_point(days_.begin(), days_.end(), [&](std::int64_t day) {
    const DayView view = open(day);
    const auto first = Seeker(*view.file, view.limit).first_end_from(0, has_key);
    return first && !beyond(*first);
  });
  while (after != days_.begin()) {
    --after;
    const DayView view = open(*after);
    auto end = Seeker(*view.file, view.limit).last_end_not(has_key, beyond);
    if (end) return Found{*after, std::move(*end)};
  }
  return std::nullopt;
}

}  // namespace daystream
