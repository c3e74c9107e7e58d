#include "daystream/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "calendar.h"
#include "crc32c.h"
#include "day_file.h"
#include "daystream/error.h"
#include "scanner.h"
#include "stream_impl.h"
#include "stream_view.h"
#include "transaction_lines.h"

namespace daystream {

class Reader::Impl {
 public:
  Impl(std::unique_ptr<ReaderSource> source, const StartAfter& start)
      : source_(std::move(source)),
        start_(start),
        position_(start.position),
        lsn_(start.lsn.value_or(Lsn{})) {
    manifest_ = source_->manifest();
    transaction_.impl_ = &lines_;
    begin();
  }

  Transaction* next();
  bool wait(std::chrono::milliseconds timeout, int wake_fd) {
    return source_->wait(timeout, wake_fd);
  }
  std::optional<Away> away() const { return source_->away(); }
  std::uint64_t backlog_bytes() {
    return begun_ ? source_->backlog_bytes(day_, scanner_->last_group().offset)
                  : source_->backlog_bytes(0, 0);
  }

  Manifest manifest_;
  Position position() const { return position_; }
  Lsn lsn() const { return lsn_; }

 private:
  Transaction* next_whole();
  bool begin();
  bool more_to_scan();
  void check_limit();
  bool cross_day();
  void open_day(std::int64_t day, const ScanState& from);
  Transaction* deliver();

  std::unique_ptr<ReaderSource> source_;
  StartAfter start_;
  bool begun_ = false;  // start_ was found
  Position position_;
  Lsn lsn_;

  std::int64_t day_ = 0;
  std::unique_ptr<File> file_;
  std::optional<GroupScanner> scanner_;
  std::optional<Durable> limit_durable_;  // what gave the scanner its limit, until it is reached
  bool in_doubt_ = false;                 // the scanner has had a limit that was not settled
  Group group_;
  Transaction transaction_;
  Transaction::Impl lines_;
};

bool Reader::Impl::begin() {
  for (int tries = 0;; ++tries) {
    try {
      const auto place = source_->resolve(start_);
      if (!place) return false;
      open_day(place->day, place->state);
      begun_ = true;
      position_ = place->state.last;
      lsn_ = place->lsn;
      return true;
    } catch (const PositionGone&) {
      // A reader of all that is kept lost a race against the oldest day's end.
      constexpr int kTries = 10;
      const bool from_first = start_.position == Position::begin() && !start_.lsn;
      if (!from_first || tries == kTries) throw;
    }
  }
}

void Reader::Impl::open_day(std::int64_t day, const ScanState& from) {
  auto file = source_->open_day(day);
  if (!file) {
    throw PositionGone(
        fmt::format("day file \"{}\" is no longer kept",
                    (std::filesystem::path(source_->name()) / day_file_name(day)).string()),
        "start again from a fresh copy of the tables");
  }
  scanner_.reset();
  in_doubt_ = false;
  file_ = std::move(file);
  day_ = day;
  scanner_.emplace(*file_, day, from, from.offset,
                   source_->is_filtered() ? Lines::Some : Lines::All);
}

Transaction* Reader::Impl::next() {
  try {
    return next_whole();
  } catch (const TornEnd&) {
    throw;
  } catch (const Corruption& damage) {
    // Also once it is settled: what was read by then may have been torn.
    if (in_doubt_) throw TornEnd(damage);
    throw;
  }
}

Transaction* Reader::Impl::next_whole() {
  if (!begun_ && !begin()) return nullptr;
  for (;;) {
    while (scanner_->next(group_)) {
      if (group_.end_change.action != Action::Abort) return deliver();
      position_ = group_.end_position;
    }
    if (!more_to_scan()) return nullptr;
  }
}

// A limit is the end of a line. Where `durable` gave it, that also says which line and which CRC:
// so that a commit that was damaged into a row does not pass for a transaction not ended yet.
void Reader::Impl::check_limit() {
  if (scanner_->half_line()) {
    throw Corruption(file_->path(), scanner_->state().offset, "a line without an end");
  }
  const auto durable = std::exchange(limit_durable_, std::nullopt);
  if (!durable) return;
  const ScanState state = scanner_->state();
  if (state.last == durable->position && state.chain == durable->chain) return;
  throw Corruption(file_->path(), scanner_->last_group().offset,
                   fmt::format("what begins here ends with line {}, \"{}\" says with line {} and "
                               "CRC {}",
                               state.last.text(), kDurableName, durable->position.text(),
                               crc_text(durable->chain)));
}

// At the limit: moves it, or crosses into the next day. False: nothing more yet.
bool Reader::Impl::more_to_scan() {
  check_limit();
  const auto limit = source_->limit(day_, scanner_->last_group().offset);
  if (!limit) return false;
  const Durable& durable = limit->durable;
  const std::int64_t durable_day = day_number(durable.position.c);
  if (durable_day < day_) return false;
  if (durable_day == day_) {
    if (durable.size_bytes <= scanner_->limit()) return false;
    scanner_->set_limit(durable.size_bytes);
    in_doubt_ = in_doubt_ || !limit->settled;
    if (limit->has_chain) limit_durable_ = durable;
    return true;
  }
  // A later day is durable, so this file is as long as it will ever be.
  const std::uint64_t size = file_->size();
  if (size > scanner_->limit()) {
    scanner_->set_limit(size);
    return true;
  }
  return cross_day();
}

bool Reader::Impl::cross_day() {
  const ScanState state = scanner_->state();
  if (state.in_transaction || state.offset == 0) {
    throw Corruption(file_->path(), state.offset,
                     state.offset == 0
                         ? "the file is empty, but a later day follows"
                         : "the file ends in an unfinished transaction, but a later day follows");
  }
  const auto days = source_->days();
  const auto next = std::upper_bound(days.begin(), days.end(), day_);
  if (next == days.end()) {
    throw Corruption(file_->path(), state.offset, "a later day is durable, but has no file");
  }
  const std::int64_t left = day_;
  const bool left_is_kept = std::binary_search(days.begin(), days.end(), left);
  ScanState from{0, state.last, state.chain, false};
  open_day(*next, from);
  if (left_is_kept) return true;
  // The day just left was deleted, perhaps with some after it. If this one does not go on where
  // that one ended, changes are missing.
  scanner_->set_limit(file_->size());
  try {
    Group first;
    if (scanner_->next(first)) {
      open_day(*next, from);
      return true;
    }
  } catch (const Corruption&) {
    // Told below, as what it is.
  }
  throw PositionGone(
      fmt::format("what follows position {} is no longer in daystream \"{}\", which begins with "
                  "day file \"{}\"",
                  state.last.text(), source_->name(), day_file_name(*next)),
      "going on from there would skip changes: start again from a fresh copy of the tables");
}

Transaction* Reader::Impl::deliver() {
  const Change& end = group_.end_change;
  lines_.begin(*file_, group_);
  transaction_.kind_ = end.action == Action::Mark  ? Transaction::Kind::Mark
                       : end.action == Action::Gap ? Transaction::Kind::Gap
                                                   : Transaction::Kind::Transaction;
  transaction_.end_ = end;
  transaction_.end_line_ = {group_.end_position, group_.end_body, group_.end_whole};
  transaction_.line_count_ = group_.line_count;
  transaction_.size_bytes_ = group_.end - group_.begin;
  transaction_.text_ = {};
  if (group_.in_memory) transaction_.text_ = {group_.text, group_.end - group_.begin};
  position_ = group_.end_position;
  if (end.action != Action::Gap) lsn_ = end.lsn;
  return &transaction_;
}

Reader::Reader(const Stream& stream, const StartAfter& start)
    : impl_(std::make_unique<Impl>(stream.impl_->reader_source(), start)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

const Manifest& Reader::manifest() const noexcept {
  return impl_->manifest_;
}
Transaction* Reader::next() {
  return impl_->next();
}
bool Reader::wait(std::chrono::milliseconds timeout, int wake_fd) {
  return impl_->wait(timeout, wake_fd);
}
Position Reader::position() const noexcept {
  return impl_->position();
}
Lsn Reader::lsn() const noexcept {
  return impl_->lsn();
}
std::optional<Away> Reader::away() const {
  return impl_->away();
}
std::uint64_t Reader::backlog_bytes() {
  return impl_->backlog_bytes();
}

}  // namespace daystream
