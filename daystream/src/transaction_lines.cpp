#include "transaction_lines.h"

#include <algorithm>

#include "daystream/error.h"
#include "last_newline.h"

namespace daystream {

namespace {

constexpr std::size_t kRead = 256 * 1024;
// So much room a long line may leave in the buffer for the next group.
constexpr std::size_t kKeep = 8 * kRead;
constexpr std::size_t kLongestPrefix = 64;

std::uint64_t count_lines(std::string_view lines) {
  return static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
}

}  // namespace

void Transaction::Impl::begin(const File& file, const Group& group) {
  file_ = &file;
  group_ = group;
  rewind();
}

void Transaction::Impl::rewind() noexcept {
  index_ = 0;
  offset_ = group_.begin;
  at_ = 0;
  buffer_.clear();
  prefix_.set(group_.first);
}

bool Transaction::Impl::next_line(Line& line) {
  if (index_ == group_.line_count) {
    if (buffer_.capacity() > kKeep) std::vector<char>().swap(buffer_);
    return false;
  }
  if (group_.in_memory) {
    const LineSpan& span = (*group_.lines)[index_];
    line.whole = {group_.text + span.begin, span.end - span.begin};
    line.body = {group_.text + span.body, span.end - span.body};
  } else {
    line.whole = read_line();
    if (group_.has_holes) prefix_.set(position_of(line.whole));
    line.body = line.whole.substr(prefix_.view().size());
    prefix_.count_up();
  }
  line.position = group_.has_holes ? position_of(line.whole)
                                   : Position{group_.first.c, group_.first.s + index_};
  ++index_;
  return true;
}

bool Transaction::Impl::next_line_where(const Find& find, Line& line) {
  while (index_ < group_.line_count) {
    const std::string_view lines = group_.in_memory ? lines_in_memory() : whole_lines();
    const std::size_t found = find(lines);
    if (found == std::string_view::npos) {
      skip(lines);
      continue;
    }
    const auto before = last_newline(lines.substr(0, found));
    const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
    go_to(lines, begin);
    return next_line(line);
  }
  return next_line(line);
}

Position Transaction::Impl::position_of(std::string_view line) const {
  const auto prefix = parse_prefix(line.substr(0, kLongestPrefix));
  if (!prefix || prefix->position.c != group_.first.c || prefix->position < group_.first) {
    throw Corruption(file_->path(), group_.begin, "bytes that were here a moment ago are others");
  }
  return prefix->position;
}

// Returns all lines from the next one on of a group that is in memory.
std::string_view Transaction::Impl::lines_in_memory() const {
  const std::uint32_t begin = (*group_.lines)[index_].begin;
  return {group_.text + begin, group_.lines->back().end + 1 - begin};
}

// Returns one or more lines from the next one on of a larger group: those that are in the buffer or
// can be read at once.
std::string_view Transaction::Impl::whole_lines() {
  constexpr std::string_view kReplace = "\t_action\treplace\t";
  for (std::size_t searched = 0;; fill()) {
    const std::string_view rest(buffer_.data() + at_, buffer_.size() - at_);
    const auto newline = last_newline(rest.substr(searched));
    if (newline == std::string_view::npos) {
      searched = rest.size();
      continue;
    }
    std::string_view lines = rest.substr(0, searched + newline + 1);
    if (offset_ == group_.end_line) return lines;
    // A `replace` stays with its `update`.
    const auto before = last_newline(lines.substr(0, lines.size() - 1));
    const std::size_t last = before == std::string_view::npos ? 0 : before + 1;
    if (lines.find(kReplace, last) != std::string_view::npos) lines = lines.substr(0, last);
    if (!lines.empty()) return lines;
    searched = rest.size();
  }
}

void Transaction::Impl::skip(std::string_view lines) {
  if (group_.in_memory) {
    index_ = group_.line_count;
    return;
  }
  if (group_.has_holes) index_ += count_lines(lines);
  at_ += lines.size();
  while (buffer_.size() - at_ < kLongestPrefix && offset_ < group_.end_line) fill();
  if (at_ == buffer_.size()) {
    index_ = group_.line_count;
  } else {
    go_to({buffer_.data() + at_, buffer_.size() - at_}, 0);  // it says itself which it is
  }
}

// Makes the line that begins at `begin` in `lines` the next line. `lines` begin at the next line.
void Transaction::Impl::go_to(std::string_view lines, std::size_t begin) {
  if (group_.in_memory) {
    const auto first = group_.lines->begin() + static_cast<std::ptrdiff_t>(index_);
    const auto offset = static_cast<std::uint32_t>(first->begin + begin);
    const auto after = std::upper_bound(
        first, group_.lines->end(), offset,
        [](std::uint32_t wanted, const LineSpan& span) { return wanted < span.begin; });
    index_ = static_cast<std::uint64_t>(after - 1 - group_.lines->begin());
    return;
  }
  const Position position = position_of(lines.substr(begin));
  at_ += begin;
  // (skip() has counted those before `lines`.)
  index_ =
      group_.has_holes ? index_ + count_lines(lines.substr(0, begin)) : position.s - group_.first.s;
  prefix_.set(position);
}

// Reads more bytes behind those that are not used yet.
void Transaction::Impl::fill() {
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(at_));
  at_ = 0;
  const std::size_t kept = buffer_.size();
  const std::uint64_t left = group_.end_line - offset_;
  const std::size_t size = static_cast<std::size_t>(std::min<std::uint64_t>(left, kRead));
  buffer_.resize(kept + size);
  const std::size_t got = file_->read_at({buffer_.data() + kept, size}, offset_);
  if (got < size || size == 0) {
    throw Corruption(file_->path(), offset_ + got, "bytes that were here a moment ago are missing");
  }
  offset_ += size;
}

std::string_view Transaction::Impl::read_line() {
  std::size_t searched = at_;
  for (;;) {
    const std::string_view unread(buffer_.data() + searched, buffer_.size() - searched);
    const auto newline = unread.find('\n');
    if (newline != std::string_view::npos) {
      const std::string_view line(buffer_.data() + at_, searched + newline - at_);
      at_ = searched + newline + 1;
      return line;
    }
    searched = buffer_.size() - at_;
    fill();
  }
}

bool Transaction::next_line(Line& line) {
  return impl_->next_line(line);
}
bool Transaction::next_line_where(const Find& find, Line& line) {
  return impl_->next_line_where(find, line);
}
void Transaction::rewind() noexcept {
  impl_->rewind();
}

}  // namespace daystream
