#include "daystream/writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <ctime>

#include "calendar.h"
#include "crc32c.h"
#include "day_file.h"
#include "daystream/durable.h"
#include "daystream/error.h"
#include "daystream/line.h"
#include "flush.h"
#include "line_prefix.h"
#include "lock.h"
#include "manifest_file.h"
#include "recovery.h"

namespace daystream {

namespace {

constexpr std::size_t kKeepCapacity = 4 * 1024 * 1024;  // beyond it one huge row has been here

constexpr std::string_view kTableKey = "_table\t";

void check_same_source(const std::filesystem::path& directory, const Manifest& found,
                       const Manifest& wanted) {
  const auto check = [&](const char* what, const std::string& theirs, const std::string& ours) {
    if (theirs == ours) return;
    const auto named = [&](const std::string& value) {
      return value.empty() ? fmt::format("no known {} (it was read from a pipe)", what)
                           : fmt::format("{} \"{}\"", what, value);
    };
    throw WrongSource(fmt::format("daystream \"{}\" holds the changes of {}, not of {}",
                                  directory.string(), named(theirs), named(ours)),
                      "one directory per source: give another directory with -D");
  };
  check("system identifier", found.system_identifier, wanted.system_identifier);
  check("database", found.database, wanted.database);
  check("slot", found.slot, wanted.slot);
}

}  // namespace

class Writer::Impl {
 public:
  Impl(const std::filesystem::path& directory, const Manifest& wanted,
       std::optional<Lsn> confirmed_flush, WriterOptions options)
      : options_(std::move(options)), prefix_(Position::begin()) {
    if (!options_.clock) options_.clock = [] { return std::int64_t{std::time(nullptr)}; };
    make_directory(directory);
    lock_ = lock_directory(directory);
    dir_ = options_.dir ? options_.dir : std::shared_ptr<Dir>(real_dir(directory));
    open_manifest(directory, wanted);
    open_durable();
    continue_from(recover(*dir_, confirmed_flush));
  }

  void append(std::string_view lines);
  void abort();
  void mark(Lsn lsn, const MarkFacts& facts);
  void gap(Lsn old_slot_end);
  void write_out();
  std::shared_ptr<Flush::Work> begin_flush();
  void finish_flush(const Flush::Work& work);
  void declare_holding(const Holding& holding);
  void declare_keeping(std::optional<std::uint64_t> days, std::optional<std::uint64_t> bytes);

  bool in_transaction() const { return open_; }
  bool dirty() const { return flushed_position_ != flushable_position(); }

  Manifest manifest_;
  Recovery recovery_;
  Position last_ = Position::begin();
  Lsn last_lsn_;
  Position flushed_position_ = Position::begin();
  Lsn flushed_lsn_;
  std::uint64_t appended_bytes_ = 0;
  std::uint64_t appended_lines_ = 0;

 private:
  void open_manifest(const std::filesystem::path& directory, const Manifest& wanted);
  void open_durable();
  void continue_from(Recovered recovered);
  void check_usable() const;

  Position next_position() const;
  bool is_new_day(Position at) const;
  Position ready_position();
  void open_day_file(Position at);
  template <typename Action>
  void on_disk(const Action& action);
  void begin_transaction(std::string_view first_line);
  void append_line(std::string_view line);
  bool has_open_xid(std::string_view line) const;
  void add_row(std::string_view line);
  void commit(std::string_view line, const Change& change);
  void drop_open();
  void abort_written();
  void add_end_line(std::string_view body);
  void add_single(Position at, std::string_view body);
  std::string mark_body(Lsn lsn, const MarkFacts& facts, bool first_of_day) const;
  // Through where begin_flush() takes it: what waits in memory is not part.
  Position flushable_position() const { return open_ && !open_written_ ? before_open_ : last_; }

  WriterOptions options_;
  UniqueFd lock_;
  std::shared_ptr<Dir> dir_;
  std::shared_ptr<File> durable_file_;
  std::shared_ptr<std::atomic<int>> failed_ = std::make_shared<std::atomic<int>>(0);

  std::shared_ptr<File> file_;  // nullptr: no day begun
  std::int64_t day_ = 0;
  std::int64_t least_c_ = 0;   // after recovery: past what readers may have seen
  std::uint64_t written_ = 0;  // bytes of file_ the kernel has
  std::string buffer_;         // follows written_

  LinePrefix prefix_;              // of the next line of the open transaction
  std::uint32_t chain_ = 0;        // running CRC up to buffer_[crc_at_]
  std::uint32_t group_chain_ = 0;  // at the last end line
  std::size_t crc_at_ = 0;

  // The open transaction.
  bool open_ = false;
  bool open_written_ = false;  // part of it is out of the buffer
  std::size_t open_at_ = 0;    // in buffer_, while not open_written_
  std::uint64_t open_bytes_ = 0;
  std::uint64_t open_lines_ = 0;
  std::string xid_field_;  // `_xid N` and a tab
  std::uint32_t xid_ = 0;
  Position before_open_;
};

// ---- opening -----------------------------------------------------------------------------------

void Writer::Impl::open_manifest(const std::filesystem::path& directory, const Manifest& wanted) {
  if (dir_->open(kManifestName)) {
    manifest_ = load_manifest(*dir_);
    check_same_source(directory, manifest_, wanted);
    return;
  }
  if (!list_days(*dir_).empty()) {
    throw Corruption(dir_->path_of(kManifestName), 0, "the file is missing, there are day files",
                     "restore it from a copy: it says which database the changes are of");
  }
  manifest_ = wanted;
  if (manifest_.created.empty()) manifest_.created = utc_text(options_.clock());
  if (manifest_.name.empty()) {
    const auto absolute = std::filesystem::absolute(directory).lexically_normal();
    manifest_.name = (absolute.filename().empty() ? absolute.parent_path() : absolute).filename();
  }
  if (manifest_.holdings.empty()) manifest_.holdings.push_back({{0, 0}, "", {}});
  save_manifest(*dir_, manifest_);
}

// Made before the first day file: a reader that finds lines and no `durable` takes the directory
// for a copy and believes all of it.
void Writer::Impl::open_durable() {
  durable_file_ = dir_->open_writable(kDurableName);
  if (durable_file_ || !list_days(*dir_).empty()) return;
  Durable nothing;
  nothing.position = Position::begin();
  durable_file_ = dir_->create(kDurableName);
  durable_file_->write_at(nothing.text(), 0);
  dir_->sync();
}

void Writer::Impl::continue_from(Recovered recovered) {
  recovery_ = std::move(recovered.report);
  file_ = std::move(recovered.file);
  day_ = recovered.day;
  last_ = recovered.state.last;
  last_lsn_ = recovered.lsn;
  chain_ = group_chain_ = recovered.state.chain.value_or(0);
  written_ = recovered.state.offset;
  if (recovered.state.in_transaction) {
    recovery_.aborted_xid = xid_ = recovered.open_xid;
    open_ = open_written_ = true;
    prefix_.set({last_.c, last_.s + 1});
    abort_written();
    write_out();
    file_->sync();
  }
  least_c_ = last_.c + 1;
  if (file_) {
    Durable durable;
    durable.position = last_;
    durable.lsn = last_lsn_;
    durable.size_bytes = written_;
    durable.chain = chain_;
    if (!durable_file_) {
      durable_file_ = dir_->create(kDurableName);
      dir_->sync();
    }
    durable_file_->write_at(durable.text(), 0);
  } else {
    Durable nothing;
    nothing.position = Position::begin();
    if (!durable_file_) durable_file_ = dir_->create(kDurableName);
    durable_file_->write_at(nothing.text(), 0);
    dir_->sync();
  }
  flushed_position_ = last_;
  flushed_lsn_ = last_lsn_;
  appended_bytes_ = appended_lines_ = 0;
}

void Writer::Impl::check_usable() const {
  if (failed_->load()) {
    throw IoError(
        fmt::format("daystream \"{}\" cannot be written on after an error", dir_->path().string()),
        failed_->load(), "open it again: recovery writes again what may not be on disk");
  }
}

// ---- lines -------------------------------------------------------------------------------------

void Writer::Impl::append(std::string_view lines) {
  check_usable();
  for (;;) {
    const auto newline = lines.find('\n');
    append_line(lines.substr(0, newline));
    if (newline == std::string_view::npos) break;
    lines.remove_prefix(newline + 1);
  }
}

// Where the next group begins. A clock that steps back holds the second.
Position Writer::Impl::next_position() const {
  const std::int64_t c = std::max({options_.clock(), last_.c, least_c_});
  return c == last_.c ? Position{c, last_.s + 1} : Position{c, 0};
}

void Writer::Impl::append_line(std::string_view line) {
  if (!open_) begin_transaction(line);
  if (has_open_xid(line)) {
    add_row(line);
  } else {
    const Change change = parse_change(line);
    if (change.xid != xid_) {
      throw ProtocolError(
          fmt::format("a line of transaction {} came inside transaction {}, which has no commit "
                      "line yet",
                      change.xid, xid_),
          "lines without commit lines cannot be kept: use -o include-transaction");
    }
    if (change.action == Action::Commit) {
      commit(line, change);
    } else {
      add_row(line);
    }
  }
  if (buffer_.size() >= options_.buffer_bytes) write_out();
}

// Whether `line` is of a table and of the open transaction, seen without taking it apart: a commit
// line has no table. False sends it the long way.
bool Writer::Impl::has_open_xid(std::string_view line) const {
  if (!line.starts_with(kTableKey)) return false;
  const auto tab = line.find('\t', kTableKey.size());
  return tab != std::string_view::npos && line.substr(tab + 1).starts_with(xid_field_);
}

void Writer::Impl::begin_transaction(std::string_view first_line) {
  const Change change = parse_change(first_line);
  if (change.action == Action::Mark || change.action == Action::Abort ||
      change.action == Action::Gap || change.crc) {
    throw ProtocolError(fmt::format("a line of action \"{}\" cannot come from a server",
                                    action_name(change.action)));
  }
  const Position first = ready_position();
  before_open_ = last_;
  prefix_.set(first);
  last_ = first.s == 0 ? Position{first.c, UINT64_MAX} : Position{first.c, first.s - 1};
  xid_ = change.xid;
  xid_field_ = fmt::format("_xid\t{}\t", xid_);
  open_ = true;
  open_written_ = false;
  open_at_ = buffer_.size();
  open_bytes_ = open_lines_ = 0;
}

void Writer::Impl::add_row(std::string_view line) {
  const std::string_view prefix = prefix_.view();
  const std::size_t at = buffer_.size();
  const std::size_t size = prefix.size() + line.size() + 1;
  if (buffer_.capacity() < at + size) buffer_.reserve(std::max(2 * buffer_.capacity(), at + size));
  buffer_.append(prefix).append(line).push_back('\n');
  prefix_.count_up();
  ++last_.s;  // from UINT64_MAX to 0 for the first of a second
  open_bytes_ += size;
  ++open_lines_;
  appended_bytes_ += size;
  ++appended_lines_;
}

void Writer::Impl::commit(std::string_view line, const Change& change) {
  if (change.lsn <= last_lsn_) {  // it has been here before
    if (open_written_) {
      abort_written();
    } else {
      drop_open();
    }
    return;
  }
  add_end_line(line);
  last_lsn_ = change.lsn;
  open_ = false;
}

void Writer::Impl::drop_open() {
  buffer_.resize(open_at_);
  chain_ = group_chain_;
  crc_at_ = open_at_;
  last_ = before_open_;
  appended_bytes_ -= open_bytes_;
  appended_lines_ -= open_lines_;
  open_ = false;
}

void Writer::Impl::abort_written() {
  add_end_line(fmt::format("_xid\t{}\t_action\tabort", xid_));
  open_ = false;
}

// Appends the line that ends a group, with the CRC of all since the last such line.
void Writer::Impl::add_end_line(std::string_view body) {
  const std::size_t at = buffer_.size();
  buffer_.append(prefix_.view());
  chain_ = extend_crc(chain_, std::string_view(buffer_).substr(crc_at_));
  chain_ = extend_crc(chain_, body);
  chain_ = extend_crc(chain_, "\n");
  group_chain_ = chain_;
  buffer_.append(kCrcKey).append(crc_text(chain_)).append("\t").append(body).append("\n");
  crc_at_ = buffer_.size();
  prefix_.count_up();
  ++last_.s;
  appended_bytes_ += buffer_.size() - at;
  ++appended_lines_;
}

// A mark or a gap: a group of its own.
void Writer::Impl::add_single(Position at, std::string_view body) {
  prefix_.set(at);
  add_end_line(body);
  last_ = at;
}

void Writer::Impl::abort() {
  check_usable();
  if (!open_) return;
  if (open_written_) {
    abort_written();
  } else {
    drop_open();
  }
}

std::string Writer::Impl::mark_body(Lsn lsn, const MarkFacts& facts, bool first_of_day) const {
  std::string body = "_lsn\t" + lsn.text();
  if (facts.timeline) body += fmt::format("\t_timeline\t{}", *facts.timeline);
  if (facts.next) body += fmt::format("\t_next\t{}", *facts.next);
  if (first_of_day && last_ != Position::begin()) body += "\t_prev\t" + crc_text(group_chain_);
  body += "\t_action\tmark";
  for (const auto& [key, value] : facts.holds) {
    body += '\t';
    escape_to(body, key);
    body += '\t';
    escape_to(body, value);
  }
  return body;
}

void Writer::Impl::mark(Lsn lsn, const MarkFacts& facts) {
  check_usable();
  assert(!open_);
  // "Nothing of ours up to here" stays true where more is known already.
  lsn = std::max(lsn, last_lsn_);
  Position at = next_position();
  // A mark that knows what a day's first has to say is that one; else the Writer asks for its own.
  if (is_new_day(at) && (facts.next || !options_.day_mark)) {
    open_day_file(at);
    add_single(at, mark_body(lsn, facts, true));
  } else {
    at = ready_position();
    add_single(at, mark_body(lsn, facts, false));
  }
  last_lsn_ = lsn;
}

void Writer::Impl::gap(Lsn old_slot_end) {
  check_usable();
  assert(!open_);
  const Position at = ready_position();
  add_single(at, fmt::format("_lsn\t{}\t_action\tgap", old_slot_end.text()));
}

// ---- files -------------------------------------------------------------------------------------

bool Writer::Impl::is_new_day(Position at) const {
  return !file_ || day_number(at.c) != day_;
}

// Where the next group begins, once its day has a file with its first mark.
Position Writer::Impl::ready_position() {
  Position at = next_position();
  while (is_new_day(at)) {
    const MarkFacts facts = options_.day_mark ? options_.day_mark() : MarkFacts{};
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
  const std::size_t size = open_waits ? open_at_ : buffer_.size();
  if (size == 0) return;
  if (open_ && !open_waits) open_written_ = true;
  if (crc_at_ < size) {
    chain_ = extend_crc(chain_, std::string_view(buffer_).substr(crc_at_, size - crc_at_));
    crc_at_ = size;
  }
  on_disk([&] { file_->write_at(std::string_view(buffer_).substr(0, size), written_); });
  written_ += size;
  buffer_.erase(0, size);
  crc_at_ -= size;
  open_at_ -= std::min(open_at_, size);
  if (buffer_.capacity() > kKeepCapacity && buffer_.size() < kKeepCapacity / 2) {
    buffer_.shrink_to_fit();
  }
}

// ---- flushing ----------------------------------------------------------------------------------

std::shared_ptr<Writer::Flush::Work> Writer::Impl::begin_flush() {
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

void Writer::Impl::declare_holding(const Holding& holding) {
  if (manifest_.holdings.back().same_filter(holding)) return;
  Holding from_here = holding;
  if (last_ == Position::begin()) {
    from_here.since = {0, 0};
    manifest_.holdings.clear();
  } else {
    from_here.since = {last_.c, last_.s + 1};
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

// ---- the door ----------------------------------------------------------------------------------

Writer::Writer(const std::filesystem::path& directory, const Manifest& wanted,
               std::optional<Lsn> confirmed_flush, WriterOptions options)
    : impl_(std::make_unique<Impl>(directory, wanted, confirmed_flush, std::move(options))) {}

// Nothing is written here: what was not flushed comes again from the server.
Writer::~Writer() = default;

const Manifest& Writer::manifest() const noexcept {
  return impl_->manifest_;
}
const Recovery& Writer::recovery() const noexcept {
  return impl_->recovery_;
}
bool Writer::empty() const noexcept {
  return impl_->last_ == Position::begin();
}
void Writer::append(std::string_view lines) {
  impl_->append(lines);
}
bool Writer::in_transaction() const noexcept {
  return impl_->in_transaction();
}
void Writer::abort() {
  impl_->abort();
}
void Writer::mark(Lsn lsn, const MarkFacts& facts) {
  impl_->mark(lsn, facts);
}
void Writer::gap(Lsn old_slot_end) {
  impl_->gap(old_slot_end);
}
Lsn Writer::last_lsn() const noexcept {
  return impl_->last_lsn_;
}
Position Writer::position() const noexcept {
  return impl_->last_;
}
Lsn Writer::flushed() const noexcept {
  return impl_->flushed_lsn_;
}
Position Writer::flushed_position() const noexcept {
  return impl_->flushed_position_;
}
bool Writer::dirty() const noexcept {
  return impl_->dirty();
}
std::uint64_t Writer::appended_bytes() const noexcept {
  return impl_->appended_bytes_;
}
std::uint64_t Writer::appended_lines() const noexcept {
  return impl_->appended_lines_;
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
void Writer::declare_holding(const Holding& holding) {
  impl_->declare_holding(holding);
}
void Writer::declare_keeping(std::optional<std::uint64_t> days,
                             std::optional<std::uint64_t> bytes) {
  impl_->declare_keeping(days, bytes);
}

}  // namespace daystream
