#include "remote/published_day.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "crc32c.h"
#include "day_file.h"
#include "daystream/error.h"
#include "durable_file.h"
#include "remote/stopped.h"

namespace daystream::remote {

PublishedDay::PublishedDay(std::unique_ptr<File> file, std::int64_t day, const ScanState& from,
                           Lsn lsn, std::optional<NatsRange::DayEnd> before, Stop stop)
    : file_(std::move(file)),
      day_(day),
      before_(before),
      stop_(std::move(stop)),
      scanner_(*file_, day, from, 0),
      lsn_(lsn) {}

void PublishedDay::require_time() const {
  if (stop_.requested()) throw Stopped();
}

PublishedDay::Same PublishedDay::pass_over(const NatsRange& last) {
  std::string bytes;
  while (end_ < last.end) {
    require_time();
    bytes.resize(std::min<std::uint64_t>(kMostMessage, last.end - end_));
    if (file_->read_at(bytes, end_) < bytes.size()) return Same::Shorter;
    sum_ = extend_crc(sum_, bytes);
    end_ += bytes.size();
  }
  if (sum_ != last.sum_after) return Same::Other;
  scan_to(last.end);
  durable_ = last.durable;
  return Same::Yes;
}

// Checks what is up to there.
void PublishedDay::scan_to(std::uint64_t end) {
  scanner_.set_limit(std::max(end, scanner_.limit()));
  Group group;
  std::uint64_t ask_at = scanner_.state().offset + kMostMessage;
  while (scanner_.next(group)) {
    if (group.end >= ask_at) {
      require_time();
      ask_at = group.end + kMostMessage;
    }
    const Change& change = group.end_change;
    if (change.action == Action::Commit || change.action == Action::Mark) lsn_ = change.lsn;
    if (change.action == Action::Mark && !change.columns.empty()) manifest_due_ = true;
    group_ = {group.end_position, lsn_, group.end, scanner_.last_group().chain.value_or(0)};
  }
}

// As a Reader does: what is durable ends with the line, and the CRC, that `durable` says.
void PublishedDay::check_end(const ReaderSource::Limit& limit) const {
  const ScanState state = scanner_.state();
  if (!scanner_.half_line() && state.last == limit.durable.position &&
      (!limit.has_chain || state.chain == limit.durable.chain)) {
    return;
  }
  throw Corruption(file_->path(), scanner_.last_group().offset,
                   fmt::format("what begins here does not end with line {}, as \"{}\" says",
                               limit.durable.position.text(), kDurableName));
}

NatsRange PublishedDay::next(std::uint64_t end, const ReaderSource::Limit* limit) {
  if (cut_.end <= end_) {
    const std::uint64_t most = std::min(end, end_ + kMostMessage);
    scan_to(most);
    cut_ = {most, durable_};
    if (group_.size_bytes > end_) {
      cut_.durable = group_;
      // The end of what there is goes too, whatever it is.
      if (most < end) cut_.end = group_.size_bytes;
    }
    if (most == end && limit != nullptr) {
      check_end(*limit);
      cut_.durable = limit->durable;
    }
  }
  NatsRange range;
  range.day = day_;
  range.begin = end_;
  range.end = cut_.end;
  range.durable = cut_.durable;
  range.sum_before = sum_;
  if (range.begin == 0) range.before = before_;
  return range;
}

std::string PublishedDay::bytes_of(const NatsRange& range) const {
  std::string bytes(range.end - range.begin, '\0');
  if (file_->read_at(bytes, range.begin) < bytes.size()) {
    throw Corruption(file_->path(), range.begin, "the file ends here");
  }
  return bytes;
}

void PublishedDay::arrived(const NatsRange& range) {
  end_ = range.end;
  sum_ = range.sum_after;
  durable_ = range.durable;
}

ScanState PublishedDay::state_at_end() const {
  ScanState state = scanner_.state();
  if (state.in_transaction) {
    throw Corruption(file_->path(), state.offset,
                     "the file ends in an unfinished transaction, but a later day follows");
  }
  state.offset = 0;
  return state;
}

}  // namespace daystream::remote
