#include "owner/source_reader.h"

#include <algorithm>

#include "apply/needs_reseed.h"
#include "src/calendar.h"
#include "src/waiting.h"

namespace deltamirror {

using daystream::Transaction;

void SourceReader::open(const Checkpoint& at) {
  kept_ = Kept::Nothing;
  try {
    reader_.emplace(options_.daystream, daystream::StartAfter{at.position, at.lsn, asked_});
  } catch (const daystream::PositionGone& e) {
    throw StreamGap(e.what(), kCopyAll);
  }
}

daystream::Manifest SourceReader::manifest() const {
  return reader_ ? reader_->manifest() : options_.daystream.manifest();
}

Transaction* SourceReader::next() {
  if (std::exchange(kept_, Kept::Nothing) != Kept::Nothing) return last_;
  try {
    return last_ = reader_->next();
  } catch (const daystream::PositionGone& e) {
    throw StreamGap(e.what(), kCopyAll);
  }
}

bool SourceReader::must_wait() {
  return kept_ == Kept::Nothing && reader_->backlog_bytes() == 0;
}

// Until when a delayed mirror must not have it, microseconds since 1970.
std::int64_t SourceReader::due(const Transaction& transaction) const {
  const std::int64_t committed = transaction.end().time_us;
  const std::int64_t known = committed != 0 ? committed : transaction.position().c * 1'000'000;
  return known + std::chrono::microseconds(options_.delay).count();
}

bool SourceReader::is_early(const Transaction& transaction) const {
  return options_.delay.count() > 0 && due(transaction) > daystream::now_us();
}

void SourceReader::wait(std::chrono::milliseconds longest, int fd) {
  if (kept_ != Kept::Early) {
    reader_->wait(longest, fd);
    return;
  }
  const std::int64_t left_us = std::max<std::int64_t>(0, due(*last_) - daystream::now_us());
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(std::chrono::microseconds(left_us));
  daystream::WaitSet{fd}.wait(std::min(longest, left));
}

}  // namespace deltamirror
