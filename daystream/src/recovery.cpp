#include "recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "calendar.h"
#include "day_file.h"
#include "daystream/error.h"
#include "durable_file.h"
#include "line_prefix.h"
#include "seek.h"
#include "stream_view.h"

namespace daystream {

namespace {

// Where checking begins.
struct Start {
  std::int64_t day = 0;
  ScanState state;
  Lsn lsn;
  std::uint32_t open_xid = 0;
};

// What one day file was found to hold.
struct CheckedDay {
  std::int64_t day = 0;
  std::unique_ptr<File> file;
  bool packed = false;             // then it was on disk, and checked, before the plain one went
  std::uint64_t rewrite_from = 0;  // may not be on disk
  std::uint64_t end = 0;           // what is good
  std::uint64_t size = 0;          // what is there
};

DayFile open_day(Dir& dir, std::int64_t day) {
  auto found = open_day_file(dir, day, true);
  if (!found) {
    throw Corruption(dir.path_of(day_file_name(day)), 0, "the file went away while it was checked");
  }
  return found;
}

std::uint32_t xid_of(std::string_view line) {
  FieldCursor cursor(line);
  std::string_view key;
  std::string_view value;
  while (cursor.next(key, value)) {
    if (key == "_xid") return parse_change(fmt::format("_xid\t{}\t_action\tabort", value)).xid;
    if (key == "_action") break;
  }
  return 0;
}

// `durable` says up to where the file was synced. It is believed if that line is there.
Start start_at_durable(Dir& dir, const Durable& durable) {
  Start start;
  start.day = day_number(durable.position.c);
  start.lsn = durable.lsn;
  start.state = {durable.size_bytes, durable.position, durable.chain, false};
  const std::string path = dir.path_of(day_file_name(start.day));
  const auto file = open_day_file(dir, start.day).file;
  const std::uint64_t size = file ? file->size() : 0;
  if (size < durable.size_bytes) {
    throw Corruption(path, size,
                     fmt::format("the file ends here, \"{}\" says that {} bytes are on disk",
                                 kDurableName, durable.size_bytes),
                     "restore the file, or move the directory away and seed the mirrors again");
  }
  const Seeker seeker(*file, durable.size_bytes);
  const auto line = seeker.last_line();
  const auto prefix = line ? parse_prefix(line->text) : std::nullopt;
  if (!prefix || prefix->position != durable.position) {
    throw Corruption(
        path, line ? line->begin : 0,
        fmt::format("\"{}\" says that line {} is here", kDurableName, durable.position.text()));
  }
  const std::string_view body = std::string_view(line->text).substr(prefix->size);
  start.state.in_transaction = !body.starts_with(kCrcKey);
  if (start.state.in_transaction) start.open_xid = xid_of(body);
  return start;
}

// `durable` was lost with the power. A day is begun only once the day before is on disk whole, so
// only the last day is in doubt.
Start start_at_last_day(Dir& dir, const std::vector<std::int64_t>& days) {
  Start start;
  start.day = days.back();
  if (days.size() == 1) return start;
  const std::int64_t before = days[days.size() - 2];
  const auto file = open_day(dir, before).file;
  const Seeker seeker(*file, file->size());
  const std::uint64_t whole = seeker.whole_lines_end();
  auto end = seeker.last_end_before(whole);
  if (!end || end->end != file->size()) {
    throw Corruption(file->path(), end ? end->end : 0,
                     "the file does not end in a commit, mark, abort or gap, but a later day "
                     "follows it");
  }
  start.state = {0, end->position, end->crc, false};
  while (!has_source_lsn(*end)) {
    end = seeker.last_end_before(end->begin);
    if (!end) return start;
  }
  start.lsn = end->lsn;
  return start;
}

void rewrite(File& file, std::uint64_t begin, std::uint64_t end) {
  std::vector<char> buffer(std::min<std::uint64_t>(end - begin, 1024 * 1024));
  while (begin < end) {
    const std::size_t size = std::min<std::uint64_t>(buffer.size(), end - begin);
    const std::size_t got = file.read_at({buffer.data(), size}, begin);
    if (got < size) throw Corruption(file.path(), begin + got, "the file ends here");
    file.write_at({buffer.data(), size}, begin);
    begin += size;
  }
}

class Checker {
 public:
  Checker(Dir& dir, Start start, std::optional<Lsn> confirmed)
      : dir_(dir), confirmed_(confirmed), at_(start) {}

  // Reads `day` from where the day before ended.
  void check(std::int64_t day, bool is_last) {
    CheckedDay checked;
    checked.day = day;
    auto found = open_day(dir_, day);
    checked.packed = found.packed;
    checked.file = std::move(found.file);
    if (day != at_.day) {
      at_.day = day;
      at_.state.offset = 0;
    }
    checked.size = checked.file->size();
    checked.rewrite_from = at_.state.offset;
    GroupScanner scanner(*checked.file, day, at_.state, checked.size);
    Group group;
    std::string problem;
    try {
      while (scanner.next(group)) {
        if (group.end_change.action == Action::Commit || group.end_change.action == Action::Mark) {
          at_.lsn = group.end_change.lsn;
          // It was confirmed to the slot, so it was synced.
          if (confirmed_ && at_.lsn <= *confirmed_) checked.rewrite_from = group.end;
        }
        at_.open_xid = 0;
      }
      if (scanner.half_line()) problem = "a half line";
    } catch (const Corruption& e) {
      if (!is_last || (confirmed_ && at_.lsn < *confirmed_)) throw;
      problem = e.what();
    }
    // An unfinished transaction beyond what is known to be on disk cannot be checked. It comes
    // again.
    at_.state = scanner.last_group();
    checked.end = at_.state.offset;
    if (checked.end < checked.size) {
      if (problem.empty()) problem = "an unfinished transaction";
      if (!is_last) {
        throw Corruption(checked.file->path(), checked.end, problem + ", but a later day follows");
      }
      report.cut_file = checked.file->path();
      report.cut_at_bytes = checked.end;
      report.cut_bytes = checked.size - checked.end;
      report.cut_reason = problem;
    }
    days_.push_back(std::move(checked));
  }

  // Everything is known, so files may be changed from here on.
  Recovered finish() {
    // A day of which nothing is good is removed; its name may not even be on disk.
    while (!days_.empty() && days_.back().end == 0) {
      dir_.remove(day_file_name(days_.back().day));
      days_.pop_back();
    }
    for (CheckedDay& day : days_) {
      if (day.packed) continue;
      if (day.end < day.size) day.file->truncate(day.end);
      rewrite(*day.file, day.rewrite_from, day.end);
      day.file->sync();
    }
    Recovered result;
    result.lsn = at_.lsn;
    result.state = at_.state;
    result.open_xid = at_.open_xid;
    if (!days_.empty()) {
      result.day = days_.back().day;
      result.state.offset = days_.back().end;
      result.file = std::move(days_.back().file);
    }
    result.report = std::move(report);
    return result;
  }

  Recovery report;

 private:
  Dir& dir_;
  std::optional<Lsn> confirmed_;
  Start at_;
  std::vector<CheckedDay> days_;
};

}  // namespace

Recovered recover(Dir& dir, std::optional<Lsn> confirmed_flush) {
  const auto days = list_days(dir);
  const auto durable = load_durable_once(dir);
  const bool anything_durable = durable && durable->position != Position::begin();
  if (days.empty() && !anything_durable) return {};
  if (!days.empty() && open_day(dir, days.back()).packed) {
    throw NeedsPerson(fmt::format("the last day of daystream \"{}\" is compressed, so that nothing "
                                  "can be written after it",
                                  dir.path().string()),
                      fmt::format("decompress it: zstd -d --rm \"{}\"",
                                  dir.path_of(packed_file_name(days.back()))));
  }

  Start start;
  if (anything_durable) {
    start = start_at_durable(dir, *durable);
  } else if (durable) {
    start.day = days.front();  // nothing was ever synced
  } else {
    start = start_at_last_day(dir, days);
  }
  const std::int64_t first_day = start.day;
  Checker checker(dir, start, confirmed_flush);
  for (const std::int64_t day : days) {
    if (day >= first_day) checker.check(day, day == days.back());
  }
  Recovered result = checker.finish();
  if (!result.file && days.size() > 1 && days.front() < first_day) {
    // The last day went whole: go on in the one before, which ends in a whole group.
    result.day = *(std::lower_bound(days.begin(), days.end(), first_day) - 1);
    result.file = open_day(dir, result.day).file;
    result.state.offset = result.file->size();
  }
  dir.sync();
  return result;
}

}  // namespace daystream
