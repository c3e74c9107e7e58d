#include "seek.h"

#include <algorithm>

#include "daystream/error.h"
#include "last_newline.h"
#include "line_prefix.h"
#include "number.h"
#include "packed_day.h"

namespace daystream {

namespace {

constexpr std::uint64_t kSmallRead = 4096;        // a probe: most lines are far shorter
constexpr std::uint64_t kLargeRead = 256 * 1024;  // when one is not enough

bool is_end_line(std::string_view line, std::size_t& prefix_size) {
  const auto prefix = parse_prefix(line);
  if (!prefix || !line.substr(prefix->size).starts_with(kCrcKey)) return false;
  prefix_size = prefix->size;
  return true;
}

// Decides where to look next for a position. The text of a day grows about evenly with its seconds,
// so a straight line between two known places comes much nearer than the middle. That matters,
// because a look at what is not in memory costs a read from the disk. Where the line does not help,
// it halves.
class Guess {
 public:
  explicit Guess(Position wanted) : wanted_(static_cast<double>(wanted.c) + 0.5) {}

  void saw(std::uint64_t offset, Position position) {
    const Place place{true, static_cast<double>(offset), static_cast<double>(position.c)};
    (place.second <= wanted_ ? before_ : after_) = place;
  }

  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    const std::uint64_t size = high - low;
    const std::uint64_t half = low + size / 2;
    const bool helped = size <= last_size_ / 4 || ++unhelpful_ <= 2;
    last_size_ = size;
    if (!before_.known || !after_.known || size < kNear || !helped) {
      unhelpful_ = 0;
      return half;
    }
    const double share = (wanted_ - before_.second) / (after_.second - before_.second);
    const double at = before_.offset + share * (after_.offset - before_.offset);
    // Looks a little to either side in turn, so that both ends come nearer.
    const double margin = static_cast<double>(size) / 64;
    const double aside = (beyond_ = !beyond_) ? at + margin : at - margin;
    const double least = static_cast<double>(low), most = static_cast<double>(high - 1);
    return std::min(high - 1, static_cast<std::uint64_t>(std::clamp(aside, least, most)));
  }

 private:
  struct Place {
    bool known = false;
    double offset = 0, second = 0;
  };
  static constexpr std::uint64_t kNear = 128 * 1024;  // of this the kernel reads the rest ahead
  const double wanted_;
  Place before_, after_;  // their seconds are on either side of wanted_
  std::uint64_t last_size_ = UINT64_MAX;
  int unhelpful_ = 0;
  bool beyond_ = false;
};

}  // namespace

std::string Seeker::read(std::uint64_t begin, std::uint64_t end) const {
  std::string bytes(end - begin, '\0');
  const std::size_t got = file_.read_at(bytes, begin);
  if (got < bytes.size()) {
    throw Corruption(file_.path(), begin + got, "the file ends here, it should be longer");
  }
  return bytes;
}

// The first line that begins at or after `offset` and before `end`, up to which is read.
std::optional<std::uint64_t> Seeker::line_from(std::uint64_t offset, std::uint64_t end) const {
  if (offset == 0) return end > 0 ? std::optional<std::uint64_t>(0) : std::nullopt;
  std::uint64_t size = kSmallRead;
  for (std::uint64_t at = offset - 1; at < end;) {
    const std::string bytes = read(at, std::min(end, at + size));
    const auto newline = bytes.find('\n');
    if (newline != std::string::npos) {
      const std::uint64_t begin = at + newline + 1;
      return begin < end ? std::optional(begin) : std::nullopt;
    }
    at += bytes.size();
    size = kLargeRead;
  }
  return std::nullopt;
}

Position Seeker::position_at(std::uint64_t offset) const {
  constexpr std::uint64_t kMostPrefix = 64;
  const std::string bytes = read(offset, std::min(limit_, offset + kMostPrefix));
  const auto prefix = parse_prefix(bytes);
  if (!prefix) throw Corruption(file_.path(), offset, "not a line");
  return prefix->position;
}

std::uint64_t Seeker::after(Position position) const {
  // Lines that begin before `low` are not greater, lines that begin at or after `high` are.
  std::uint64_t low = 0;
  std::uint64_t high = limit_;
  Guess guess(position);
  if (const auto frame = frame_with(file_, position); frame && frame->begin < limit_) {
    if (position_at(frame->begin) != frame->first) {
      throw Corruption(file_.path(), frame->begin,
                       "the frame does not begin with the position that the index says");
    }
    if (frame->first > position) return frame->begin;
    low = frame->begin + 1;
    high = std::min(limit_, frame->end);
  }
  const std::uint64_t end = high;  // a line begins there, or nothing is there
  while (low < high) {
    const std::uint64_t middle = guess.between(low, high);
    const auto line = line_from(middle, high);
    if (!line) {
      high = middle;
      continue;
    }
    const Position found = position_at(*line);
    guess.saw(*line, found);
    if (found > position) {
      // `middle`, not `*line`: no line begins between them.
      high = middle;
    } else {
      low = *line + 1;
    }
  }
  return line_from(low, end).value_or(end);
}

std::optional<EndLine> Seeker::parse_end(std::uint64_t begin, std::string_view line) const {
  std::size_t prefix_size = 0;
  if (!is_end_line(line, prefix_size)) return std::nullopt;
  EndLine end;
  end.begin = begin;
  end.end = begin + line.size() + 1;
  end.position = parse_prefix(line)->position;
  const std::string_view rest = line.substr(prefix_size);
  const auto crc =
      rest.size() > kCrcFieldSize ? parse_crc(rest.substr(kCrcKey.size(), 8)) : std::nullopt;
  if (!crc) throw Corruption(file_.path(), begin, "not a line with a CRC");
  end.crc = *crc;
  end.body = rest.substr(kCrcFieldSize);
  try {
    const Change change = parse_change(end.body);
    end.action = change.action;
    end.lsn = change.lsn;
    end.next = change.next;
    end.timeline = change.timeline;
  } catch (const ProtocolError& e) {
    throw Corruption(file_.path(), begin, e.what());
  }
  return end;
}

std::optional<EndLine> Seeker::last_end_before(std::uint64_t offset) const {
  // Windows that end at a line's end, read from the back; larger when one holds no line's
  // beginning.
  std::uint64_t end = offset;
  std::uint64_t size = kSmallRead;
  while (end > 0) {
    const std::uint64_t begin = end > size ? end - size : 0;
    const std::string bytes = read(begin, end);
    std::size_t line_end = bytes.size() - 1;  // the newline
    for (;;) {
      const auto before = last_newline(std::string_view(bytes).substr(0, line_end));
      if (before == std::string::npos && begin > 0) break;
      const std::size_t line_begin = before == std::string::npos ? 0 : before + 1;
      const std::string_view line(bytes.data() + line_begin, line_end - line_begin);
      if (auto found = parse_end(begin + line_begin, line)) return found;
      if (line_begin == 0) return std::nullopt;
      line_end = line_begin - 1;
    }
    const std::uint64_t seen = begin + line_end + 1;
    size = seen == end ? size * 4 : kLargeRead;
    end = seen;
  }
  return std::nullopt;
}

std::optional<EndLine> Seeker::first_end_from(std::uint64_t offset, const Pleases& pleases) const {
  return first_end_between(offset, limit_, pleases);
}

std::optional<EndLine> Seeker::first_end_between(std::uint64_t offset, std::uint64_t end,
                                                 const Pleases& pleases) const {
  const auto first = line_from(offset, limit_);
  if (!first) return std::nullopt;
  std::uint64_t size = kSmallRead;
  for (std::uint64_t at = *first; at < end;) {
    const std::string bytes = read(at, std::min(limit_, at + size));
    std::size_t begin = 0;
    while (at + begin < end) {
      const auto newline = bytes.find('\n', begin);
      if (newline == std::string::npos) break;
      const std::string_view line(bytes.data() + begin, newline - begin);
      if (auto found = parse_end(at + begin, line); found && pleases(*found)) return found;
      begin = newline + 1;
    }
    // A line longer than what was read: read more of it. At the limit a line ends.
    if (begin == 0 && at + bytes.size() >= limit_) {
      throw Corruption(file_.path(), at, "a line without an end");
    }
    size = begin == 0 ? bytes.size() * 4 : kLargeRead;
    at += begin;
  }
  return std::nullopt;
}

std::optional<EndLine> Seeker::last_end_not(const Pleases& has_key, const Pleases& beyond) const {
  std::optional<EndLine> best;
  std::uint64_t low = 0;
  std::uint64_t high = limit_;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    // What is from `high` on was looked at: over a large transaction each byte is read once, and
    // not once for each step.
    auto found = first_end_between(middle, high, has_key);
    if (!found || beyond(*found)) {
      high = middle;
    } else {
      low = found->end;
      best = std::move(found);
    }
  }
  return best;
}

std::optional<Seeker::PlacedLine> Seeker::last_line() const {
  for (std::uint64_t size = kSmallRead;; size *= 4) {
    const std::uint64_t begin = limit_ > size ? limit_ - size : 0;
    std::string bytes = read(begin, limit_);
    if (bytes.empty() || bytes.back() != '\n') return std::nullopt;
    bytes.pop_back();
    const auto newline = last_newline(bytes);
    if (newline != std::string::npos)
      return PlacedLine{begin + newline + 1, bytes.substr(newline + 1)};
    if (begin == 0) return PlacedLine{0, std::move(bytes)};
  }
}

std::uint64_t Seeker::whole_lines_end() const {
  std::uint64_t end = limit_;
  while (end > 0) {
    const std::uint64_t begin = end > kLargeRead ? end - kLargeRead : 0;
    const std::string bytes = read(begin, end);
    const auto newline = last_newline(bytes);
    if (newline != std::string::npos) return begin + newline + 1;
    end = begin;
  }
  return 0;
}

}  // namespace daystream
