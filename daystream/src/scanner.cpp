#include "scanner.h"

#include <fmt/format.h>

#include "crc32c.h"
#include "daystream/error.h"
#include "number.h"

namespace daystream {

GroupScanner::GroupScanner(const File& file, std::int64_t day, const ScanState& from,
                           std::uint64_t limit, Lines lines)
    : file_(file),
      window_(file, from.offset, limit),
      order_(day, from.last, lines),
      chain_(from.chain),
      chain_end_(from.offset),
      in_transaction_(from.in_transaction),
      last_group_(from) {
  current_.begin = from.offset;
  if (in_transaction_) {
    // The lines before are no longer in the window, so only the end of this group is delivered.
    in_memory_ = false;
    current_.first = from.last;
  }
}

void GroupScanner::damaged(const std::string& problem) const {
  throw Corruption(file_.path(), window_.at(), problem);
}

std::uint32_t GroupScanner::chain_up_to(std::uint64_t offset) const noexcept {
  return extend_crc(*chain_, window_.text(chain_end_, offset));
}

ScanState GroupScanner::state() const noexcept {
  ScanState state;
  state.offset = window_.at();
  state.last = order_.last();
  if (chain_) state.chain = chain_up_to(window_.at());
  state.in_transaction = in_transaction_;
  return state;
}

bool GroupScanner::next(Group& group) {
  if (group_done_) begin_group();
  std::string_view line;
  for (;;) {
    if (!window_.find_line(line)) {
      if (!fill()) return false;
      continue;
    }
    take_line(line, group);
    if (group_done_) return true;
  }
}

void GroupScanner::begin_group() {
  group_done_ = false;
  in_memory_ = true;
  lines_.clear();
  window_.give_back();
  current_ = Group{};
  current_.begin = window_.at();
}

// Reads more. The window keeps the group from its first line on while that fits. If it does not, it
// keeps the unfinished line only.
bool GroupScanner::fill() {
  if (in_memory_ && window_.at() > current_.begin && !window_.fits(current_.begin)) {
    in_memory_ = false;
    lines_.clear();
  }
  const std::uint64_t keep = in_memory_ ? current_.begin : window_.at();
  if (chain_ && chain_end_ < keep) {
    chain_ = chain_up_to(keep);
    chain_end_ = keep;
  }
  return window_.read(keep);
}

std::uint32_t GroupScanner::checked_crc(std::string_view line, std::string_view body) {
  const auto crc = body.size() > kCrcFieldSize && body[kCrcFieldSize - 1] == '\t'
                       ? parse_crc(body.substr(kCrcKey.size(), 8))
                       : std::nullopt;
  if (!crc) damaged(fmt::format("not a line with a CRC: \"{}\"", quoted_start(line)));
  const std::uint64_t field_at = window_.at() + (line.size() - body.size());
  body.remove_prefix(kCrcFieldSize);
  if (window_.at() == 0) begin_file(line, body);
  const std::uint32_t sum = extend_crc(chain_up_to(field_at), {body.data(), body.size() + 1});
  if (sum != *crc) {
    throw Corruption(
        file_.path(), current_.begin,
        fmt::format("the CRC of what begins here and ends with line {} at byte {} is "
                    "{}, the line says {}",
                    order_.last().text(), window_.at(), crc_text(sum), crc_text(*crc)));
  }
  return *crc;
}

Change GroupScanner::take_end(std::string_view body) const {
  Change change;
  try {
    change = parse_change(body);
  } catch (const ProtocolError& e) {
    damaged(e.what());
  }
  const bool of_transaction = change.action == Action::Commit || change.action == Action::Abort;
  const bool alone = change.action == Action::Mark || change.action == Action::Gap;
  if ((!of_transaction && !alone) || (alone && in_transaction_)) {
    damaged(fmt::format("a line of action \"{}\" cannot be here", action_name(change.action)));
  }
  return change;
}

void GroupScanner::take_line(std::string_view line, Group& group) {
  std::size_t body_at;
  try {
    body_at = order_.take(line, in_transaction_);
  } catch (const ProtocolError& e) {
    damaged(e.what());
  }
  if (!in_transaction_) current_.first = order_.last();
  std::string_view body = line.substr(body_at);

  if (!body.starts_with(kCrcKey)) {
    if (window_.at() == 0) damaged("a day file does not begin with a mark");
    if (in_memory_) {
      const auto base = static_cast<std::uint32_t>(window_.at() - current_.begin);
      lines_.push_back({base, base + static_cast<std::uint32_t>(body_at),
                        base + static_cast<std::uint32_t>(line.size())});
    }
    ++current_.line_count;
    in_transaction_ = true;
    window_.pass_line(line);
    return;
  }

  // The line that ends the group: its CRC covers everything but its own field.
  const std::uint32_t crc = checked_crc(line, body);
  body.remove_prefix(kCrcFieldSize);
  const Change change = take_end(body);
  current_.end_line = window_.at();
  window_.pass_line(line);
  current_.end = chain_end_ = window_.at();
  chain_ = crc;
  current_.in_memory = in_memory_;
  current_.has_holes = order_.has_holes();
  current_.text = in_memory_ ? window_.text(current_.begin, current_.end).data() : line.data();
  current_.lines = &lines_;
  current_.end_whole = line;
  current_.end_body = body;
  current_.end_position = order_.last();
  current_.end_change = change;
  group = current_;
  in_transaction_ = false;
  group_done_ = true;
  last_group_ = {current_.end, order_.last(), chain_, false};
}

// A day's first mark names the chain it continues (`_prev`; without one it begins a stream), so
// that a file can be checked without the one before.
void GroupScanner::begin_file(std::string_view line, std::string_view body) {
  std::uint32_t previous = 0;
  FieldCursor cursor(body);
  std::string_view key;
  std::string_view value;
  try {
    while (cursor.next(key, value) && key != "_action") {
      if (key != "_prev") continue;
      const auto crc = parse_crc(value);
      if (!crc) damaged(fmt::format("not a CRC: \"{}\"", quoted_start(value)));
      previous = *crc;
    }
  } catch (const ProtocolError& e) {
    damaged(e.what());
  }
  if (key != "_action" || value != "mark") {
    damaged(fmt::format("a day file does not begin with a mark: \"{}\"", quoted_start(line)));
  }
  if (chain_ && *chain_ != previous) {
    damaged(
        fmt::format("the file continues a stream with CRC {}, the file before ends "
                    "with {}",
                    crc_text(previous), crc_text(*chain_)));
  }
  chain_ = previous;
}

}  // namespace daystream
