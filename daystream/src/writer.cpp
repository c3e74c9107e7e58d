#include "daystream/writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <ctime>

#include "calendar.h"
#include "crc32c.h"
#include "day_file.h"
#include "day_output.h"
#include "daystream/durable.h"
#include "daystream/error.h"
#include "daystream/line.h"
#include "daystream/unique_fd.h"
#include "durable_file.h"
#include "flush.h"
#include "line_prefix.h"
#include "lock.h"
#include "manifest_file.h"
#include "open_transaction.h"
#include "place.h"
#include "recovery.h"
#include "row_copy.h"
#include "seek.h"
#include "writer_manifest.h"

namespace daystream {

namespace {

// The buffer makes room for so many bytes at once.
constexpr std::size_t kRowsAtOnce = 64 * 1024;

void append_fields(std::string& body,
                   const std::vector<std::pair<std::string, std::string>>& fields) {
  for (const auto& [key, value] : fields) {
    body += '\t';
    escape_to(body, key);
    body += '\t';
    escape_to(body, value);
  }
}

}  // namespace

// Gives each line its position and its place in a transaction, and decides what may be written
// when. The bytes of the day file are DayOutput's.
class Writer::Impl {
 public:
  Impl(const std::filesystem::path& directory, const Manifest& wanted,
       std::optional<Lsn> confirmed_flush, WriterOptions options);

  const Manifest& manifest() const noexcept { return manifest_; }
  const Recovery& recovery() const noexcept { return recovery_; }
  const Appended& appended() const noexcept { return appended_; }
  std::int64_t last_commit_time_us() const noexcept { return last_commit_time_us_; }
  Lsn flushed_lsn() const noexcept { return flushed_lsn_; }
  Position flushed_position() const noexcept { return flushed_position_; }
  bool in_transaction() const noexcept { return static_cast<bool>(open_); }
  bool dirty() const { return flushed_position_ != flushable_position(); }

  void append(std::string_view lines);
  void abort();
  void mark(Lsn lsn, const MarkFacts& facts);
  void gap(Lsn old_slot_end,
           const std::vector<std::pair<std::string, std::string>>& leading_fields);
  void check_place() {
    if (place_) place_->look();
  }
  void write_out();
  std::shared_ptr<Flush::Work> begin_flush();
  void finish_flush(const Flush::Work& work);
  void release_files();
  void take_files();  // where they were released
  void declare_holding(const Holding& holding);
  void declare_keeping(std::optional<std::uint64_t> days, std::optional<std::uint64_t> bytes);

 private:
  void open_durable();
  void continue_from(Recovered recovered);
  Durable durable_now() const;

  Position next_position() const;
  bool is_new_day(Position at) const;
  Position ready_position();
  void begin_day(Position at);
  // Before it is what may be written already: an open transaction that waits is not.
  std::uint64_t writable_end() const {
    return open_.waits() ? open_.begin_offset() : output_.end();
  }
  // Through where begin_flush() takes it: what waits in memory is not part.
  Position flushable_position() const {
    return open_.waits() ? open_.before().position : appended_.position;
  }

  std::string_view append_rows(std::string_view lines);
  void append_line(std::string_view line);
  void begin_transaction(std::string_view first_line);
  void begin_lines_at(Position at);
  void add_row(std::string_view line);
  void commit(std::string_view line, const Change& change);
  void give_up();
  void add_end_line(std::string_view body);
  void add_single(Position at, std::string_view body);
  std::string mark_body(Lsn lsn, const MarkFacts& facts, bool first_of_day) const;

  WriterOptions options_;
  UniqueFd lock_;
  bool released_ = false;            // lock and files are not held; all else stands
  std::optional<PlaceWatch> place_;  // none: the directory is not one of the disk
  std::shared_ptr<Dir> dir_;
  Manifest manifest_;
  std::shared_ptr<File> durable_file_;
  Recovery recovery_;
  DayOutput output_;

  LinePrefix prefix_;  // of the next line of the open transaction
  OpenTransaction open_;
  Appended appended_;
  std::int64_t last_commit_time_us_ = 0;
  std::int64_t least_c_ = 0;  // after recovery: past what readers may have seen
  Position flushed_position_ = Position::begin();
  Lsn flushed_lsn_;
};

// ---- opening -----------------------------------------------------------------------------------

Writer::Impl::Impl(const std::filesystem::path& directory, const Manifest& wanted,
                   std::optional<Lsn> confirmed_flush, WriterOptions options)
    : options_(std::move(options)),
      dir_(options_.dir ? options_.dir : std::shared_ptr<Dir>(real_dir(directory))),
      output_(dir_, options_.block_bytes),
      prefix_(Position::begin()) {
  if (!options_.clock)
    options_.clock = [](std::int64_t) { return std::int64_t{std::time(nullptr)}; };
  require_own_directory(directory);
  make_directory(directory);
  lock_ = lock_directory(directory);
  if (!options_.dir) place_.emplace(watch_directory(directory));
  manifest_ = open_manifest(*dir_, wanted, confirmed_flush, options_);
  open_durable();
  // Where it stands as it stood at first, none of it was confirmed for us: nothing may be on disk
  // yet, not even the first mark, which says where that is.
  const bool ours = !manifest_.begun || !confirmed_flush || *confirmed_flush > *manifest_.begun;
  continue_from(recover(*dir_, ours ? confirmed_flush : std::nullopt));
}

// Made before the first day file: a reader that finds lines and no `durable` takes the directory
// for a copy and believes all of it.
void Writer::Impl::open_durable() {
  durable_file_ = dir_->open_writable(kDurableName);
  if (durable_file_ || !list_days(*dir_).empty()) return;
  durable_file_ = dir_->create(kDurableName);
  durable_file_->write_at(durable_now().text(), 0);
  dir_->sync();
}

void Writer::Impl::continue_from(Recovered recovered) {
  recovery_ = std::move(recovered.report);
  appended_.position = recovered.state.last;
  appended_.lsn = recovered.lsn;
  output_.continue_in(std::move(recovered.file), recovered.day, recovered.state.offset,
                      recovered.state.chain.value_or(0));
  const std::shared_ptr<File> file = output_.file();
  if (recovered.state.in_transaction) {
    recovery_.aborted_xid = recovered.open_xid;
    open_.begin(recovered.open_xid, output_.end(), appended_);
    open_.is_written_now();
    prefix_.set({appended_.position.c, appended_.position.s + 1});
    give_up();
    write_out();
    file->sync();
  }
  if (file) {
    const auto end = Seeker(*file, output_.written()).last_end_before(output_.written());
    appended_.after_gap = end && end->action == Action::Gap;
  }
  appended_.bytes = appended_.lines = 0;
  least_c_ = appended_.position.c + 1;
  const bool is_new = durable_file_ == nullptr;
  if (is_new) durable_file_ = dir_->create(kDurableName);
  if (is_new || !file) dir_->sync();
  const Durable durable = durable_now();
  durable_file_->write_at(durable.text(), 0);
  flushed_position_ = durable.position;
  flushed_lsn_ = durable.lsn;
}

// What is on disk once all is synced that was written.
Durable Writer::Impl::durable_now() const {
  Durable durable;
  durable.position = flushable_position();
  durable.lsn = appended_.lsn;
  durable.size_bytes = output_.written();
  durable.chain = output_.chain();
  return durable;
}

void Writer::Impl::release_files() {
  assert(!dirty() && !open_);
  released_ = true;
  output_.release();
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
  const auto durable = load_durable_once(*dir_);
  const bool is_as_it_was = durable_file_ && durable && durable->position == appended_.position &&
                            (appended_.position == Position::begin() || output_.reopen(*durable));
  if (!is_as_it_was) {
    throw NeedsPerson(
        fmt::format("daystream \"{}\" was written to by somebody else", dir_->path().string()),
        "start again: it goes on with what is there then");
  }
  released_ = false;
}

void Writer::Impl::declare_holding(const Holding& holding) {
  if (manifest_.holdings.back().same_filter(holding)) return;
  Holding from_here = holding;
  if (appended_.position == Position::begin()) {
    from_here.since = {0, 0};
    manifest_.holdings.clear();
  } else {
    from_here.since = appended_.position;
  }
  manifest_.holdings.push_back(std::move(from_here));
  save_manifest(*dir_, manifest_);
}

void Writer::Impl::declare_keeping(std::optional<std::uint64_t> days,
                                   std::optional<std::uint64_t> bytes) {
  if (manifest_.keep_days == days && manifest_.keep_bytes == bytes) return;
  manifest_.keep_days = days;
  manifest_.keep_bytes = bytes;
  save_manifest(*dir_, manifest_);
}

// ---- days and positions ------------------------------------------------------------------------

// The position at which the next group begins. A clock that steps back holds the second.
Position Writer::Impl::next_position() const {
  const Position last = appended_.position;
  const std::int64_t c = std::max({options_.clock(last.c), last.c, least_c_});
  return c == last.c ? Position{c, last.s + 1} : Position{c, 0};
}

bool Writer::Impl::is_new_day(Position at) const {
  return !output_.file() || day_number(at.c) != output_.day();
}

// Where the next group begins, once its day has a file with its first mark.
Position Writer::Impl::ready_position() {
  Position at = next_position();
  while (is_new_day(at)) {
    MarkFacts facts = options_.day_mark ? options_.day_mark() : MarkFacts{};
    // What was true of the last commit still is: none of our transactions came since.
    if (!facts.next) facts.next = appended_.next;
    begin_day(at);
    add_single(at, mark_body(appended_.lsn, facts, true));
    at = next_position();  // asking may have taken a while
  }
  return at;
}

// The day before is on disk whole, and so is the new name, before a byte of the new day can be: so
// that after a power loss only the last day is in doubt. Once a day that is worth waiting for.
void Writer::Impl::begin_day(Position at) {
  output_.finish_day();
  if (place_) place_->look_now();  // a file is made by its name
  output_.begin_day(day_number(at.c));
}

// ---- lines -------------------------------------------------------------------------------------

void Writer::Impl::append(std::string_view lines) {
  output_.check_usable();
  for (;;) {
    lines = append_rows(lines);
    const auto newline = lines.find('\n');
    append_line(lines.substr(0, newline));
    if (newline == std::string_view::npos) break;
    lines.remove_prefix(newline + 1);
  }
  output_.write_blocks(writable_end());
}

// Takes rows of the open transaction and of the last row's table off the front without taking them
// apart. Most lines are such rows. At least one line is left.
std::string_view Writer::Impl::append_rows(std::string_view lines) {
  const std::string_view row_start = open_.row_start();
  while (open_ && !row_start.empty()) {
    const char* at = lines.data();
    const char* const end = at + lines.size();
    const std::size_t most = std::min(lines.size(), kRowsAtOnce);
    // No line is shorter than its start, and each gets a prefix.
    const std::size_t most_lines = most / row_start.size() + 1;
    char* const begin = output_.room(most + most_lines * LinePrefix::kRoom + kCopySlack);
    const std::size_t full =
        options_.buffer_bytes - std::min(options_.buffer_bytes, output_.waiting());
    const char* const stop = lines.data() + most;
    char* out = begin;
    std::uint64_t count = 0;
    while (static_cast<std::size_t>(stop - at) > row_start.size() && begins_with(at, row_start)) {
      const std::size_t prefix = prefix_.copy_to(out);
      const std::size_t size = copy_line(out + prefix, at, stop);
      if (size == 0) break;
      at += size;
      out += prefix + size;
      prefix_.count_up();
      ++count;
      if (static_cast<std::size_t>(out - begin) >= full) break;
    }
    if (count == 0) return lines;
    const auto size = static_cast<std::size_t>(out - begin);
    output_.grow(size);
    appended_.position.s += count;  // from UINT64_MAX to 0 for the first of a second
    appended_.bytes += size;
    appended_.lines += count;
    lines.remove_prefix(static_cast<std::size_t>(at - lines.data()));
    if (output_.waiting() >= options_.buffer_bytes) write_out();
    if (at == end) break;
  }
  return lines;
}

void Writer::Impl::append_line(std::string_view line) {
  if (!open_) begin_transaction(line);
  if (open_.has(line)) {
    add_row(line);
  } else {
    const Change change = parse_change(line);
    if (change.xid != open_.xid()) {
      throw ProtocolError(
          fmt::format("a line of transaction {} came inside transaction {}, which has no commit "
                      "line yet",
                      change.xid, open_.xid()),
          "lines without commit lines cannot be kept: use -o include-transaction");
    }
    if (change.action == Action::Commit) {
      commit(line, change);
    } else {
      add_row(line);
    }
  }
  if (output_.waiting() >= options_.buffer_bytes) write_out();
}

void Writer::Impl::begin_transaction(std::string_view first_line) {
  const Change change = parse_change(first_line);
  if (change.action == Action::Mark || change.action == Action::Abort ||
      change.action == Action::Gap || change.crc) {
    throw ProtocolError(fmt::format("a line of action \"{}\" cannot come from a server",
                                    action_name(change.action)));
  }
  const Position first = ready_position();
  open_.begin(change.xid, output_.end(), appended_);
  prefix_.set(first);
  appended_.position =
      first.s == 0 ? Position{first.c, UINT64_MAX} : Position{first.c, first.s - 1};
}

void Writer::Impl::add_row(std::string_view line) {
  const std::size_t size = prefix_.view().size() + line.size() + 1;
  char* out = output_.room(size + LinePrefix::kRoom);
  out += prefix_.copy_to(out);
  std::memcpy(out, line.data(), line.size());
  out[line.size()] = '\n';
  output_.grow(size);
  prefix_.count_up();
  ++appended_.position.s;  // from UINT64_MAX to 0 for the first of a second
  appended_.bytes += size;
  ++appended_.lines;
}

void Writer::Impl::commit(std::string_view line, const Change& change) {
  last_commit_time_us_ = change.time_us;
  if (change.lsn <= appended_.lsn) return give_up();  // it has been here before
  add_end_line(line);
  appended_.lsn = change.lsn;
  if (change.next) appended_.next = change.next;
  open_.end();
}

// The open transaction leaves no trace, or ends with an `abort` where part of it is written.
void Writer::Impl::give_up() {
  if (open_.waits()) {
    output_.cut(open_.begin_offset());
    appended_ = open_.before();
  } else {
    add_end_line(fmt::format("_xid\t{}\t_action\tabort", open_.xid()));
  }
  open_.end();
}

void Writer::Impl::abort() {
  output_.check_usable();
  if (open_) give_up();
}

// Appends the line that ends a group.
void Writer::Impl::add_end_line(std::string_view body) {
  appended_.bytes += output_.end_group(prefix_.view(), body);
  ++appended_.lines;
  prefix_.count_up();
  ++appended_.position.s;
  appended_.after_gap = false;
}

// A mark or a gap: a group of its own.
void Writer::Impl::add_single(Position at, std::string_view body) {
  prefix_.set(at);
  add_end_line(body);
  appended_.position = at;
}

std::string Writer::Impl::mark_body(Lsn lsn, const MarkFacts& facts, bool first_of_day) const {
  std::string body = "_lsn\t" + lsn.text();
  if (facts.timeline) body += fmt::format("\t_timeline\t{}", *facts.timeline);
  if (facts.next) body += fmt::format("\t_next\t{}", *facts.next);
  if (first_of_day && appended_.position != Position::begin())
    body += "\t_prev\t" + crc_text(output_.group_chain());
  append_fields(body, facts.leading_fields);
  body += "\t_action\tmark";
  append_fields(body, facts.holds);
  return body;
}

void Writer::Impl::mark(Lsn lsn, const MarkFacts& facts) {
  output_.check_usable();
  assert(!open_);
  // A mark says that nothing of this stream is missing up to its LSN. That stays true if the stream
  // is further on already.
  lsn = std::max(lsn, appended_.lsn);
  Position at = next_position();
  // A mark that knows everything that the first mark of a day must say is that mark. Otherwise the
  // Writer asks for one of its own.
  if (is_new_day(at) && (facts.next || !options_.day_mark)) {
    begin_day(at);
    add_single(at, mark_body(lsn, facts, true));
  } else {
    at = ready_position();
    add_single(at, mark_body(lsn, facts, false));
  }
  appended_.lsn = lsn;
  if (facts.next) appended_.next = facts.next;
}

void Writer::Impl::gap(Lsn old_slot_end,
                       const std::vector<std::pair<std::string, std::string>>& leading_fields) {
  output_.check_usable();
  assert(!open_);
  const Position at = ready_position();
  std::string body = "_lsn\t" + old_slot_end.text();
  append_fields(body, leading_fields);
  add_single(at, body + "\t_action\tgap");
  appended_.after_gap = true;
}

// ---- to the disk -------------------------------------------------------------------------------

void Writer::Impl::write_out() {
  output_.check_usable();
  if (open_.waits() && output_.end() - open_.begin_offset() >= options_.buffer_bytes)
    open_.is_written_now();
  output_.write_to(writable_end());
}

std::shared_ptr<Writer::Flush::Work> Writer::Impl::begin_flush() {
  check_place();
  write_out();
  auto work = std::make_shared<Flush::Work>();
  work->failed = output_.failed();
  work->durable = durable_now();
  if (dirty()) {
    work->day_file = output_.file();
    work->durable_file = durable_file_;
  }
  return work;
}

void Writer::Impl::finish_flush(const Flush::Work& work) {
  assert(work.done);
  flushed_position_ = std::max(flushed_position_, work.durable.position);
  flushed_lsn_ = std::max(flushed_lsn_, work.durable.lsn);
}

// ---- the door ----------------------------------------------------------------------------------

Writer::Writer(const std::filesystem::path& directory, const Manifest& wanted,
               std::optional<Lsn> confirmed_flush, WriterOptions options)
    : impl_(std::make_unique<Impl>(directory, wanted, confirmed_flush, std::move(options))) {}

// Nothing is written here: what was not flushed comes again from the server.
Writer::~Writer() = default;

const Manifest& Writer::manifest() const noexcept {
  return impl_->manifest();
}
const Recovery& Writer::recovery() const noexcept {
  return impl_->recovery();
}
bool Writer::empty() const noexcept {
  return impl_->appended().position == Position::begin();
}
void Writer::append(std::string_view lines) {
  impl_->take_files();
  impl_->append(lines);
}
bool Writer::in_transaction() const noexcept {
  return impl_->in_transaction();
}
void Writer::abort() {
  impl_->abort();
}
void Writer::mark(Lsn lsn, const MarkFacts& facts) {
  impl_->take_files();
  impl_->mark(lsn, facts);
}
void Writer::gap(Lsn old_slot_end,
                 const std::vector<std::pair<std::string, std::string>>& leading_fields) {
  impl_->take_files();
  impl_->gap(old_slot_end, leading_fields);
}
bool Writer::after_gap() const noexcept {
  return impl_->appended().after_gap;
}
Lsn Writer::last_lsn() const noexcept {
  return impl_->appended().lsn;
}
Position Writer::position() const noexcept {
  return impl_->appended().position;
}
std::int64_t Writer::last_commit_time_us() const noexcept {
  return impl_->last_commit_time_us();
}
Lsn Writer::flushed() const noexcept {
  return impl_->flushed_lsn();
}
Position Writer::flushed_position() const noexcept {
  return impl_->flushed_position();
}
bool Writer::dirty() const noexcept {
  return impl_->dirty();
}
std::uint64_t Writer::appended_bytes() const noexcept {
  return impl_->appended().bytes;
}
std::uint64_t Writer::appended_lines() const noexcept {
  return impl_->appended().lines;
}
void Writer::check_place() {
  impl_->check_place();
}
void Writer::write_out() {
  impl_->write_out();
}
Writer::Flush Writer::begin_flush() {
  Flush flush;
  flush.work_ = impl_->begin_flush();
  return flush;
}
void Writer::finish_flush(const Flush& flush) {
  impl_->finish_flush(*flush.work_);
}
void Writer::flush() {
  Flush flush = begin_flush();
  flush.run();
  finish_flush(flush);
}
void Writer::release_files() {
  impl_->release_files();
}
void Writer::declare_holding(const Holding& holding) {
  impl_->take_files();
  impl_->declare_holding(holding);
}
void Writer::declare_keeping(std::optional<std::uint64_t> days,
                             std::optional<std::uint64_t> bytes) {
  impl_->take_files();
  impl_->declare_keeping(days, bytes);
}

}  // namespace daystream
