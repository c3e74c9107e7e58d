// The day files: begun, written, flushed.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "calendar.h"
#include "crc32c.h"
#include "day_file.h"
#include "daystream/error.h"
#include "durable_file.h"
#include "lock.h"
#include "writer_impl.h"

namespace daystream {

namespace {
constexpr std::size_t kKeepCapacity = 4 * 1024 * 1024;  // beyond it one huge row has been here
}  // namespace

void Writer::Impl::check_usable() const {
  if (failed_->load()) {
    throw IoError(
        fmt::format("daystream \"{}\" cannot be written on after an error", dir_->path().string()),
        failed_->load(), "open it again: recovery writes again what may not be on disk");
  }
}

bool Writer::Impl::is_new_day(Position at) const {
  return !file_ || day_number(at.c) != day_;
}

// Where the next group begins, once its day has a file with its first mark.
Position Writer::Impl::ready_position() {
  Position at = next_position();
  while (is_new_day(at)) {
    MarkFacts facts = options_.day_mark ? options_.day_mark() : MarkFacts{};
    // What was true of the last commit still is: none of our transactions came since.
    if (!facts.next) facts.next = known_next_;
    open_day_file(at);
    add_single(at, mark_body(last_lsn_, facts, true));
    at = next_position();  // asking may have taken a while
  }
  return at;
}

// The day before is on disk whole, and so is the new name, before a byte of the new day can be: so
// that after a power loss only the last day is in doubt. Once a day that is worth waiting for.
void Writer::Impl::open_day_file(Position at) {
  if (file_) {
    write_out();
    on_disk([&] { file_->sync(); });
  }
  const std::int64_t day = day_number(at.c);
  if (place_) place_->look_now();  // a file is made by its name
  on_disk([&] {
    file_ = dir_->create(day_file_name(day));
    dir_->sync();
  });
  day_ = day;
  written_ = 0;
}

// After an error nothing is written any more: what the file ends in is not known.
template <typename Action>
void Writer::Impl::on_disk(const Action& action) {
  try {
    action();
  } catch (...) {
    remember_failure(*failed_);
    throw;
  }
}

void Writer::Impl::write_out() {
  check_usable();
  const bool open_waits =
      open_ && !open_written_ && buffer_.size() - open_at_ < options_.buffer_bytes;
  if (open_ && !open_waits) open_written_ = true;
  write_front(open_waits ? open_at_ : buffer_.size());
}

// Whole blocks of the file, of what may be written already: the kernel takes them with the fewest
// pages, and copies them twice as fast while they are still in the processor's cache.
void Writer::Impl::write_blocks() {
  const std::uint64_t ready = written_ + (open_ && !open_written_ ? open_at_ : buffer_.size());
  const std::uint64_t end = ready - ready % options_.block_bytes;
  if (end > written_) write_front(static_cast<std::size_t>(end - written_));
}

void Writer::Impl::write_front(std::size_t size) {
  if (size == 0) return;
  if (crc_at_ < size) {
    chain_ = extend_crc(chain_, buffer_.from(crc_at_).substr(0, size - crc_at_));
    crc_at_ = size;
  }
  on_disk([&] { file_->write_at(buffer_.view().substr(0, size), written_); });
  written_ += size;
  buffer_.drop_front(size);
  crc_at_ -= size;
  open_at_ -= std::min(open_at_, size);
  buffer_.shrink(kKeepCapacity);
}

void Writer::Impl::release_files() {
  assert(!dirty() && !open_);
  released_ = true;
  file_.reset();
  durable_file_.reset();
  lock_ = {};
}

// What is in memory has to be what is on disk still: else another Writer was here, and what we
// would write does not go on where it ended.
void Writer::Impl::take_files() {
  if (!released_) return;
  lock_ = lock_directory(dir_->path());
  if (place_) place_->look_now();
  durable_file_ = dir_->open_writable(kDurableName);
  if (last_ != Position::begin()) file_ = daystream::open_day_file(*dir_, day_, true).file;
  const auto durable = load_durable_once(*dir_);
  const bool is_as_it_was = durable_file_ && durable && durable->position == last_ &&
                            (last_ == Position::begin() ||
                             (durable->chain == chain_ && file_ && file_->size() == written_));
  if (!is_as_it_was) {
    throw NeedsPerson(
        fmt::format("daystream \"{}\" was written to by somebody else", dir_->path().string()),
        "start again: it goes on with what is there then");
  }
  released_ = false;
}

std::shared_ptr<Writer::Flush::Work> Writer::Impl::begin_flush() {
  check_place();
  write_out();
  auto work = std::make_shared<Flush::Work>();
  work->failed = failed_;
  work->durable.position = flushable_position();
  work->durable.lsn = last_lsn_;
  work->durable.size_bytes = written_;
  work->durable.chain = chain_;
  if (dirty()) {
    work->day_file = file_;
    work->durable_file = durable_file_;
  }
  return work;
}

void Writer::Impl::finish_flush(const Flush::Work& work) {
  assert(work.done);
  flushed_position_ = std::max(flushed_position_, work.durable.position);
  flushed_lsn_ = std::max(flushed_lsn_, work.durable.lsn);
}

}  // namespace daystream
