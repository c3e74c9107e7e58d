#include "scanner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "calendar.h"
#include "crc32c.h"
#include "daystream/error.h"
#include "number.h"

namespace daystream {

namespace {

// Large enough that nearly every transaction is delivered without reading it again, small enough
// to stay in a processor's second-level cache.
constexpr std::size_t kBufferSize = 512 * 1024;
constexpr std::size_t kReadSize = 256 * 1024;

std::string quoted_start(std::string_view line) {
  constexpr std::size_t kMost = 40;
  std::string text;
  for (const char c : line.substr(0, kMost)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\t') {
      text += ' ';
    } else if (byte < 0x20 || byte >= 0x7F) {
      text += fmt::format("\\x{:02x}", byte);
    } else {
      text += c;
    }
  }
  return text + (line.size() > kMost ? "…" : "");
}

}  // namespace

GroupScanner::GroupScanner(const File& file, std::int64_t day, const ScanState& from,
                           std::uint64_t limit, Lines lines)
    : file_(file),
      day_begin_s_(day * kSecondsPerDay),
      limit_(limit),
      which_(lines),
      buffer_(std::make_unique_for_overwrite<char[]>(kBufferSize)),
      capacity_(kBufferSize),
      buffer_offset_(from.offset),
      last_(from.last),
      expected_(from.last),
      chain_(from.chain),
      in_transaction_(from.in_transaction),
      last_group_(from) {
  current_.begin = from.offset;
  expected_.count_up();
  if (in_transaction_) {
    // The lines before are no longer in the buffer, so only the end of this group is delivered.
    in_memory_ = false;
    current_.first = from.last;
  }
}

void GroupScanner::damaged(std::size_t index, const std::string& problem) const {
  throw Corruption(file_.path(), offset_of(index), problem);
}

ScanState GroupScanner::state() const noexcept {
  ScanState state;
  state.offset = offset_of(at_);
  state.last = last_;
  if (chain_) state.chain = extend_crc(*chain_, {buffer_.get() + crc_at_, at_ - crc_at_});
  state.in_transaction = in_transaction_;
  return state;
}

bool GroupScanner::next(Group& group) {
  if (group_done_) begin_group();
  for (;;) {
    const void* found = searched_ < size_
                            ? std::memchr(buffer_.get() + searched_, '\n', size_ - searched_)
                            : nullptr;
    if (found == nullptr) {
      searched_ = size_;
      if (!fill()) return false;
      continue;
    }
    take_line(static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.get()), group);
    if (group_done_) return true;
  }
}

void GroupScanner::begin_group() {
  group_done_ = false;
  in_memory_ = true;
  lines_.clear();
  if (capacity_ > 8 * kBufferSize && size_ - at_ < kBufferSize) {  // one huge row has been here
    capacity_ = 2 * kBufferSize;
    grow(at_, 0);
  }
  group_at_ = at_;
  current_ = Group{};
  current_.begin = offset_of(at_);
}

// Reads more. It keeps the group from its first line on while that fits the buffer. If it does not,
// it keeps the unfinished line only, and lets the buffer grow where that alone is larger.
bool GroupScanner::fill() {
  const std::uint64_t end = offset_of(size_);
  if (end >= limit_) return false;
  const std::size_t wanted =
      static_cast<std::size_t>(std::min<std::uint64_t>(kReadSize, limit_ - end));
  if (capacity_ - size_ < wanted) {
    std::size_t keep = in_memory_ ? group_at_ : at_;
    if (size_ - keep + wanted > capacity_ && in_memory_ && at_ > group_at_) {
      in_memory_ = false;
      lines_.clear();
      keep = at_;
    }
    if (chain_ && crc_at_ < keep) {
      chain_ = extend_crc(*chain_, {buffer_.get() + crc_at_, keep - crc_at_});
      crc_at_ = keep;
    }
    if (size_ - keep + wanted > UINT32_MAX) damaged(keep, "a line of more than 4 GiB");
    grow(keep, wanted);
    group_at_ = in_memory_ ? 0 : at_;
  }
  const std::size_t got = file_.read_at({buffer_.get() + size_, wanted}, end);
  size_ += got;
  if (got < wanted) {
    throw Corruption(
        file_.path(), offset_of(size_),
        fmt::format("the file ends here, {} bytes are missing", limit_ - offset_of(size_)));
  }
  return true;
}

// Moves the bytes from index `keep` on to the front of a buffer with room for `wanted` more.
void GroupScanner::grow(std::size_t keep, std::size_t wanted) {
  const std::size_t kept = size_ - keep;
  if (kept + wanted > capacity_) capacity_ = std::max(2 * capacity_, kept + wanted);
  if (keep == 0 || kept + wanted > kBufferSize) {
    auto other = std::make_unique_for_overwrite<char[]>(capacity_);
    std::memcpy(other.get(), buffer_.get() + keep, kept);
    buffer_ = std::move(other);
  } else {
    std::memmove(buffer_.get(), buffer_.get() + keep, kept);
  }
  buffer_offset_ += keep;
  size_ = kept;
  at_ -= keep;
  searched_ -= keep;
  crc_at_ -= std::min(crc_at_, keep);
}

bool GroupScanner::may_follow(Position position) const noexcept {
  if (which_ == Lines::Some) {
    return position > last_ && (!in_transaction_ || position.c == last_.c);
  }
  return !in_transaction_ && (position.c == last_.c ? position.s == last_.s + 1
                                                    : position.c > last_.c && position.s == 0);
}

std::size_t GroupScanner::take_position(std::string_view line) {
  const auto prefix = parse_prefix(line);
  if (!prefix) damaged(at_, fmt::format("not a line: \"{}\"", quoted_start(line)));
  const Position position = prefix->position;
  if (!may_follow(position)) {
    damaged(at_, fmt::format("position {} cannot follow {}", position.text(), last_.text()));
  }
  if (position.c < day_begin_s_ || position.c >= day_begin_s_ + kSecondsPerDay) {
    damaged(at_, fmt::format("position {} is of {}", position.text(), position.day()));
  }
  last_ = position;
  expected_.set(position);
  if (!in_transaction_) current_.first = position;
  return prefix->size;
}

std::uint32_t GroupScanner::checked_crc(std::string_view line, std::string_view body) {
  const auto crc = body.size() > kCrcFieldSize && body[kCrcFieldSize - 1] == '\t'
                       ? parse_crc(body.substr(kCrcKey.size(), 8))
                       : std::nullopt;
  if (!crc) damaged(at_, fmt::format("not a line with a CRC: \"{}\"", quoted_start(line)));
  const std::size_t field_at = at_ + (line.size() - body.size());
  body.remove_prefix(kCrcFieldSize);
  if (offset_of(at_) == 0) begin_file(line, body, at_);
  std::uint32_t sum = extend_crc(*chain_, {buffer_.get() + crc_at_, field_at - crc_at_});
  sum = extend_crc(sum, {body.data(), body.size() + 1});
  if (sum != *crc) {
    throw Corruption(file_.path(), current_.begin,
                     fmt::format("the CRC of what begins here and ends with line {} at byte {} is "
                                 "{}, the line says {}",
                                 last_.text(), offset_of(at_), crc_text(sum), crc_text(*crc)));
  }
  return *crc;
}

Change GroupScanner::take_end(std::string_view body) const {
  Change change;
  try {
    change = parse_change(body);
  } catch (const ProtocolError& e) {
    damaged(at_, e.what());
  }
  const bool of_transaction = change.action == Action::Commit || change.action == Action::Abort;
  const bool alone = change.action == Action::Mark || change.action == Action::Gap;
  if ((!of_transaction && !alone) || (alone && in_transaction_)) {
    damaged(at_, fmt::format("a line of action \"{}\" cannot be here", action_name(change.action)));
  }
  return change;
}

void GroupScanner::take_line(std::size_t newline, Group& group) {
  const char* const text = buffer_.get() + at_;
  const std::string_view line(text, newline - at_);
  std::size_t body_at;
  // The next of the same second, as most are; of a second that was of this day.
  const bool knows_next = in_transaction_ || last_.c >= day_begin_s_;
  if (knows_next && line.starts_with(expected_.view())) {
    body_at = expected_.view().size();
    ++last_.s;
    if (!in_transaction_) current_.first = last_;
  } else {
    body_at = take_position(line);
  }
  std::string_view body = line.substr(body_at);

  if (!body.starts_with(kCrcKey)) {
    if (offset_of(at_) == 0) damaged(at_, "a day file does not begin with a mark");
    if (in_memory_) {
      const auto base = static_cast<std::uint32_t>(at_ - group_at_);
      lines_.push_back({base, base + static_cast<std::uint32_t>(body_at),
                        base + static_cast<std::uint32_t>(line.size())});
    }
    ++current_.line_count;
    in_transaction_ = true;
    expected_.count_up();
    at_ = searched_ = newline + 1;
    return;
  }

  // The line that ends the group: its CRC covers everything but its own field.
  const std::uint32_t crc = checked_crc(line, body);
  body.remove_prefix(kCrcFieldSize);
  const Change change = take_end(body);
  chain_ = crc;
  expected_.count_up();
  current_.end_line = offset_of(at_);
  current_.end = offset_of(newline + 1);
  current_.in_memory = in_memory_;
  current_.has_holes = which_ == Lines::Some;
  current_.text = in_memory_ ? buffer_.get() + group_at_ : text;
  current_.lines = &lines_;
  current_.end_whole = line;
  current_.end_body = body;
  current_.end_position = last_;
  current_.end_change = change;
  group = current_;
  in_transaction_ = false;
  group_done_ = true;
  at_ = searched_ = crc_at_ = newline + 1;
  last_group_ = {offset_of(at_), last_, chain_, false};
}

// A day's first mark names the chain it continues (`_prev`; without one it begins a stream), so
// that a file can be checked without the one before.
void GroupScanner::begin_file(std::string_view line, std::string_view body, std::uint64_t index) {
  std::uint32_t previous = 0;
  FieldCursor cursor(body);
  std::string_view key;
  std::string_view value;
  try {
    while (cursor.next(key, value) && key != "_action") {
      if (key != "_prev") continue;
      const auto crc = parse_crc(value);
      if (!crc) damaged(index, fmt::format("not a CRC: \"{}\"", quoted_start(value)));
      previous = *crc;
    }
  } catch (const ProtocolError& e) {
    damaged(index, e.what());
  }
  if (key != "_action" || value != "mark") {
    damaged(index,
            fmt::format("a day file does not begin with a mark: \"{}\"", quoted_start(line)));
  }
  if (chain_ && *chain_ != previous) {
    damaged(index, fmt::format("the file continues a stream with CRC {}, the file before ends "
                               "with {}",
                               crc_text(previous), crc_text(*chain_)));
  }
  chain_ = previous;
}

}  // namespace daystream
