#include "remote/line_runs.h"

#include "calendar.h"
#include "daystream/error.h"
#include "line_prefix.h"

namespace daystream::remote {

namespace {

// A line is passed on in parts once more bytes of it have come than this.
constexpr std::size_t kLongLine = 1024 * 1024;
constexpr std::size_t kMostPrefix = 64;

Position position_of(std::string_view line) {
  const auto prefix = parse_prefix(line.substr(0, kMostPrefix));
  if (!prefix) throw ProtocolError("the server sent what is not a line of a daystream");
  return prefix->position;
}

// Where the last line of `lines`, which end in a newline, begins.
std::size_t last_line_of(std::string_view lines) {
  const auto before =
      lines.size() < 2 ? std::string_view::npos : lines.rfind('\n', lines.size() - 2);
  return before == std::string_view::npos ? 0 : before + 1;
}

}  // namespace

void LineRuns::feed(std::string_view bytes, const Take& take) {
  held_.append(bytes);
  std::string_view rest = held_;
  if (in_line_) {
    const auto newline = rest.find('\n');
    const std::size_t size = newline == std::string_view::npos ? rest.size() : newline + 1;
    take(day_, rest.substr(0, size));
    rest.remove_prefix(size);
    in_line_ = newline == std::string_view::npos;
    if (!in_line_) last_ = long_line_;
  }
  while (!rest.empty()) {
    const auto last = rest.rfind('\n');
    if (last == std::string_view::npos) {
      if (rest.size() < kLongLine) break;
      long_line_ = position_of(rest);
      day_ = day_number(long_line_.c);
      take(day_, rest);
      in_line_ = true;
      rest = {};
      break;
    }
    std::string_view run = rest.substr(0, last + 1);
    const std::int64_t day = day_number(position_of(run).c);
    // Positions only grow: if the last line belongs to the day of the first one, all lines do.
    if (day_number(position_of(run.substr(last_line_of(run))).c) != day) {
      std::size_t end = 0;
      while (day_number(position_of(run.substr(end)).c) == day) end = run.find('\n', end) + 1;
      run = run.substr(0, end);
    }
    take(day, run);
    last_ = position_of(run.substr(last_line_of(run)));
    rest.remove_prefix(run.size());
  }
  held_.erase(0, held_.size() - rest.size());
}

}  // namespace daystream::remote
